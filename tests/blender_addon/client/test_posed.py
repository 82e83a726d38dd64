"""Tables of cameras are read in small steps."""

from __future__ import annotations

import struct
from pathlib import Path, PurePosixPath

import pytest

from blender_addon.client import posed as module
from blender_addon.client.layouts import COLMAP

NAMES = [f"images/v_{number}.jpg" for number in range(1000)]


def write_text(table: Path) -> None:
    points = " ".join(["10.5 20.5 -1"] * 500)
    rows = (f"{number} 1 0 0 0 0 0 0 1 v_{number}.jpg\n{points}\n" for number in range(999))
    table.write_text("# a comment\n" + "".join(rows), encoding="utf-8-sig")


def write_binary(table: Path) -> None:
    rows = (bytes(64) + f"v_{n}.jpg".encode() + struct.pack("<xQ", 20) + bytes(480) for n in range(999))
    table.write_bytes(struct.pack("<Q", 999) + b"".join(rows))


@pytest.mark.parametrize(("write", "steps"), [(write_text, 7 * 999), (write_binary, 5)])
def test_a_table_is_read_in_small_steps(tmp_path: Path, monkeypatch, write, steps: int) -> None:
    monkeypatch.setattr(module, "_BLOCK", 1000)
    model = tmp_path / "sparse/0"
    model.mkdir(parents=True)
    ending = "txt" if write is write_text else "bin"
    write(model / f"images.{ending}")
    paths = [PurePosixPath(f"sparse/0/{name}.{ending}") for name in ("cameras", "images", "points3D")]
    reading = module.posed(tmp_path, PurePosixPath(), paths, COLMAP, NAMES)
    count = 0
    while True:
        try:
            next(reading)
        except StopIteration as end:
            found = end.value
            break
        count += 1
    assert found == NAMES[:999]
    assert count >= steps
