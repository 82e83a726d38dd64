"""How long a click in Blender takes, and how often it selects the right object.

    python -m bench.blender_click ROOM RESULT --seed 0       # of a scene with exact ids, and a result of it

Needs the package bpy in addition to the backend. The pixels are those of :mod:`bench.interaction_select`, for the same
Gaussians and for the same ones divided into more. A click includes everything that the tool does except its undo step:
rays through every object, and the selection. "Again" is the next click at the same place. Finally the Gaussians of the
result become one splat without labels: a click selects the connected ones, the next one those of similar colour. Times
exclude the preparation, which happens once.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import typer
from numpy.typing import NDArray

from backend.scene.types import Camera
from backend.select import open_result
from bench.interaction_select import ClickPlace, Count, HeldOut, PixelSeed, Room, click_places, cut, spread
from blender_addon import session
from blender_addon.picking.clicking import Clicks
from blender_addon.picking.prepared import prepared
from blender_addon.sight import Sight
from blender_addon.splats.attributes import write_splats
from blender_addon.splats.collections import placement_of
from protocol.errors import BadArgument
from protocol.ply import write_ply
from protocol.result.gaussians import read_splats
from protocol.result.names import LABEL, PARTS, SPLATS, TABLE
from protocol.splats import Splats

NEAR, FAR = 0.001, 1000.0
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


def sight_of(camera: Camera, placement: NDArray[np.float64]) -> Sight:
    """Return the view of Blender that sees what a camera of the capture sees."""
    (fx, _, cx), (_, fy, cy), _ = camera.K
    projection = np.zeros((4, 4))
    projection[0, 0], projection[0, 2] = 2 * fx / camera.width, 1 - 2 * cx / camera.width
    projection[1, 1], projection[1, 2] = 2 * fy / camera.height, 2 * cy / camera.height - 1
    projection[2, 2:] = -(FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)
    projection[3, 2] = -1
    return Sight(FLIP @ camera.viewmat @ np.linalg.inv(placement), projection, camera.width, camera.height)


def write_more(source: Path, folder: Path, splats: Splats) -> None:
    """Write a result folder with these Gaussians and the objects of another result."""
    table = json.loads((source / TABLE).read_text())
    counts = np.bincount(splats.extra[LABEL])
    for row in table["objects"]:
        row["count"] = int(counts[row["id"]])
    (folder / TABLE).write_text(json.dumps(table))
    if (source / PARTS).is_file():
        (folder / PARTS).write_bytes((source / PARTS).read_bytes())
    write_ply(splats, folder / SPLATS)


def click_all(
    places: Sequence[ClickPlace], placement: NDArray[np.float64]
) -> tuple[list[str], list[float], list[float]]:
    """Return the name that each click selects, and the milliseconds of it and of another one at the same place."""
    names, first, again = [], [], []
    for camera, x, y, _ in places:
        clicks, sight, seconds = Clicks(), sight_of(camera, placement), []
        name = ""
        for number in range(2):
            begin = time.perf_counter()
            try:
                found = clicks.click(
                    bpy.context.view_layer, sight, x, camera.height - y, is_visible=lambda thing: thing.visible_get()
                )
                name = name if number else found.name
            except BadArgument:
                pass
            seconds.append(1e3 * (time.perf_counter() - begin))
        names.append(name)
        first.append(seconds[0])
        again.append(seconds[1])
    return names, first, again


def main(room: Room, result: HeldOut, seed: PixelSeed = 0, count: Count = 200) -> None:
    """Click objects at random pixels, in Blender."""
    opened = open_result(result)
    places = click_places(room, result, opened, seed, count)
    stored = read_splats(result)
    for gaussians in (len(stored), 100_000, 1_000_000):
        times = max(1, round(gaussians / len(stored)))
        splats = cut(stored, times)
        bpy.ops.wm.read_homefile(use_empty=True)
        with tempfile.TemporaryDirectory() as folder:
            write_more(result, Path(folder), splats)
            scene: Any = session.import_folder(Path(folder))
        bpy.context.view_layer.update()
        placement = np.array(placement_of(scene).matrix_world, np.float64)
        prepared.clear()
        begin = time.perf_counter()
        click_all(places[:1], placement)
        preparation = time.perf_counter() - begin
        names, first, again = click_all(places, placement)
        label_of = {part.name: part.splatlift.label for part in session.objects_of(scene)}
        right = sum(label_of.get(name) == place.label for name, place in zip(names, places, strict=True))
        print(
            f"{len(splats):,} Gaussians, {len(label_of)} objects, {count} clicks, seed {seed}: right object "
            f"{right / count:.1%}; {spread(first)}; again {spread(again)}; prepared once in {preparation:.1f} s"
        )
        bpy.ops.wm.read_homefile(use_empty=True)
        data: Any = bpy.data.meshes.new("alone")
        write_splats(data, replace(splats, extra={}))
        bpy.context.scene.collection.objects.link(bpy.data.objects.new("alone", data))
        bpy.context.view_layer.update()
        prepared.clear()
        begin = time.perf_counter()
        click_all(places[:1], np.eye(4))
        preparation = time.perf_counter() - begin
        _, first, again = click_all(places, np.eye(4))
        print(f"  without labels: {spread(first)}; again {spread(again)}; prepared once in {preparation:.1f} s")


if __name__ == "__main__":
    typer.run(main)
