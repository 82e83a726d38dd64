"""The panel and the view of Blender from the first start to a correction, photographed step by step.

`python -m bench.pictures panel FOLDER` made panel.png, panel_objects.png, blender.png, edit.png, words.png and
correction.png in docs/images of these pictures. It runs inside a Blender that has a window, and needs in the folder of
this file `in_window.py`, the extension's zip, the demonstration scene as ``kitchen`` (`backend demo` makes it), and
three photographs as ``hall``, which are too few:

    python -m bench.simulated_server kitchen "violet ball=6"
    blender --factory-startup -p 0 0 1280 1200 --python panel_pictures.py

The screen is 1280 x 1200 pixels. `in_window.py` says what makes the clicks and the pictures.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))  # Blender runs this file by its path

from in_window import FOLDER, ask, click, module, press, region, run, show_panel, until, view, wait

SCALE = 0.75
CAPTURE, EMPTY = (880, 157), (560, 930)
"""The header of the panel Capture, and a place of the view where nothing is."""
CAMERA, LENS = "0026", 38.0
"""The camera of the capture from whose position the view is seen, and its focal length in millimetres."""
WORD = "violet ball"
ONE = ("Object 6", "Object 5")
"""What the correction makes one."""
SEVERAL, HALVED = ("Object 2", "Object 1", "Object 3"), "Object 2"
"""What is selected in Object Mode, and in Edit Mode its upper half."""


def steps() -> Iterator[None]:
    """Take all pictures; yields while it waits."""
    yield from show_panel(opened=("panels_words",))
    timer, chosen = module("timer").timer, bpy.context.scene.splatlift
    yield from wait(5)
    yield from ask("0_empty")
    press("connect")
    yield from until(lambda: timer.known_connection is not None and timer.known_connection.info.facts is not None)
    yield from choose(timer, chosen, "hall")
    press("segment")
    yield from until(lambda: bool(timer.jobs) and timer.jobs[-1].final)
    yield from wait(5)
    yield from ask("5_failed")
    press("forget")
    yield from choose(timer, chosen, "kitchen")
    yield from ask("1_chosen")
    chosen.quality, chosen.meshes, chosen.gallery = "draft", False, False
    press("segment")
    yield from until(lambda: bool(timer.jobs))
    job = timer.jobs[-1]
    yield from until(lambda: (job.stage == "reconstruct" and job.fraction > 0.5) or job.final)
    yield from ask("2_working")
    yield from until(lambda: job.final)
    yield from wait(5)
    yield from ask("3_finished")
    chosen.display = "SPLATS"
    press("import_result", directory=str(job.folder), display="SPLATS")
    yield from until(lambda: bool(bpy.context.scene.objects) and timer.importing is None)
    yield from wait(10)
    yield from ask("4_imported")
    yield from click(CAPTURE, "folded")
    look_from(CAMERA)
    yield from wait(20)
    yield from ask("6_imported")

    chosen.search = WORD
    press("show_colours", colours="PHOTOGRAPHS")
    pick()
    yield from wait(10)
    yield from ask("7_word")
    press("search")
    search = module("operators.search").search
    yield from until(lambda: search.request is None)
    print(search.lines, flush=True)
    yield from wait(10)
    yield from ask("8_found")

    press("show_colours", colours="LABELS")
    chosen.and_alike = True
    yield from click(EMPTY, "moved")  # a dialog opens under the mouse
    pick(*ONE)
    yield from wait(10)
    yield from ask("9_two")
    press("merge", "INVOKE_DEFAULT", and_alike=True)
    yield from wait(5)
    yield from ask("10_asked")
    yield from ask("TYPE \r 11_confirmed")
    yield from until(lambda: sum(name in bpy.data.collections for name in ONE) == 1)
    yield from wait(10)
    yield from ask("12_one")

    pick(*SEVERAL)
    yield from wait(10)
    yield from ask("13_several")
    pick(HALVED)
    data = bpy.data.objects[HALVED].data
    heights = np.empty(3 * len(data.vertices), np.float32)
    data.attributes["position"].data.foreach_get("vector", heights)
    up = heights.reshape(-1, 3) @ np.array(bpy.data.objects[HALVED].matrix_world)[2, :3]
    data.vertices.foreach_set("select", (up > np.median(up)).tolist())
    bpy.ops.object.mode_set(mode="EDIT")
    yield from wait(10)
    yield from ask("14_halved")
    yield from ask("QUIT")


def choose(timer: Any, chosen: Any, name: str) -> Iterator[None]:
    """Choose a capture, and wait until it is read."""
    chosen.folder = str(FOLDER / name)
    yield from wait(3)
    yield from until(lambda: timer.surveyed is not None)
    yield from wait(5)


def look_from(name: str) -> None:
    """See what a camera of the capture sees, without its frame, and without cameras, grid and cursor."""
    space = view().spaces.active
    space.overlay.show_extras = space.overlay.show_cursor = space.overlay.show_floor = False
    space.overlay.show_axis_x = space.overlay.show_axis_y = space.overlay.show_object_origins = False
    space.lens = LENS
    space.region_3d.view_perspective = "PERSP"
    space.region_3d.view_matrix = bpy.data.objects[name].matrix_world.inverted()


def pick(*names: str) -> None:
    """Select objects of the view; the first one becomes the active one."""
    layer = bpy.context.view_layer
    for each in layer.objects:
        each.select_set(each.name in names)
    layer.objects.active = bpy.data.objects[names[0]] if names else None
    region("UI").tag_redraw()


run(steps(), SCALE)
