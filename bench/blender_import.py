"""How long a result takes from its PLY file to attributes in Blender: ``python -m bench.blender_import``.

Run it in any Python with bpy, in the root of the source tree. The Gaussians are random: only their number counts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import bpy
import numpy as np

from blender_addon import session
from blender_addon.splats.result import SORTING
from protocol.ply import write_ply
from protocol.result.names import FORMAT, SPLATS
from protocol.result.table import ObjectRow, ObjectTable, write_table
from protocol.splats import SH_COUNTS, Splats

TARGET = 2.0
"""Seconds that a million Gaussians of degree 3 may take."""


def write_scene(folder: Path, count: int, objects: int, degree: int) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, objects + 1, count).astype(np.int32)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal((count, *shape), np.float32)

    splats = Splats(normal(3), normal(4), normal(3), normal(), normal(SH_COUNTS[degree], 3))
    splats = splats.with_columns(label=labels, confidence=rng.random(count, np.float32))
    write_ply(splats, folder / SPLATS)
    counts = np.bincount(labels, minlength=objects + 1).tolist()
    rows = [ObjectRow(id=i, name=f"Object {i}", count=counts[i], colour=(0.5, 0.5, 0.5)) for i in range(1, objects + 1)]
    write_table(folder, ObjectTable(format=FORMAT, scene="bench", objects=rows))


def timed_import(folder: Path) -> tuple[dict[str, float], float, float]:
    """Return an import's wall seconds by part, those of its longest step before Blender's data, and its CPU seconds."""
    seconds: dict[str, float] = dict.fromkeys(("read the PLY file", "sort by label, split", "write Blender data"), 0.0)
    longest, cpu = 0.0, time.process_time()
    steps = session.import_steps(folder)
    part = "read the PLY file"
    while True:
        start = time.perf_counter()
        try:
            _, note = next(steps)
        except StopIteration:
            seconds["write Blender data"] += time.perf_counter() - start
            return seconds, longest, time.process_time() - cpu
        took = time.perf_counter() - start
        seconds[part] += took
        longest = max(longest, took)
        part = "sort by label, split" if note == SORTING else part


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="Gaussians")
    parser.add_argument("--objects", type=int, default=100)
    parser.add_argument("--degree", type=int, default=3, choices=range(4))
    parser.add_argument("--repeat", type=int, default=3)
    chosen = parser.parse_args()
    columns = 3 + 3 * SH_COUNTS[chosen.degree] + 1 + 3 + 4
    print(f"{chosen.count} Gaussians, {columns} columns, {chosen.objects} objects, Blender {bpy.app.version_string}")
    best = float("inf")
    with tempfile.TemporaryDirectory() as folder:
        write_scene(Path(folder), chosen.count, chosen.objects, chosen.degree)
        for run in range(1, chosen.repeat + 1):
            bpy.ops.wm.read_homefile(use_empty=True)
            seconds, longest, cpu = timed_import(Path(folder))
            total = sum(seconds.values())
            best = min(best, total)
            print(f"run {run}")
            for part, took in seconds.items():
                print(f"  {part:24} {took:7.3f} s")
            print(f"  {'whole':24} {total:7.3f} s   ({cpu:.3f} s of processor)")
            print(f"  {'longest step before':24} {longest * 1000:7.1f} ms")
    session.unregister()
    print(f"best {best:.3f} s; a million at degree 3 may take {TARGET} s")
    return 0 if best <= TARGET * chosen.count / 1e6 else 1


if __name__ == "__main__":
    sys.exit(main())
