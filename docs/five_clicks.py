"""From an empty Blender to the objects of a folder of photographs, by five clicks, with a picture after each.

Made docs/images/five_clicks.png. It runs inside a Blender that has a window, and needs a server at
tcp://127.0.0.1:5757, and in the folder of this file `in_window.py`, the extension's zip and a folder ``desk`` of
photographs:

    blender --factory-startup -p 0 0 1280 1000 --python five_clicks.py

`in_window.py` says what makes the clicks and the pictures.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).parent))  # Blender runs this file by its path

from in_window import FOLDER, ask, click_button, module, run, show_panel, until, view, wait

PHOTOGRAPHS = FOLDER / "desk"
QUALITY = "draft"
SCALE = 0.75
"""Of the interface, so that the panel fits on the screen."""


def steps() -> Iterator[float | None]:
    """Go from an empty file to objects; yields while it waits."""
    yield from show_panel()
    timer = module("timer").timer
    yield from wait(5)

    yield from ask("0_empty")
    yield from click_button("splatlift.connect", "1_connect")
    yield from until(lambda: timer.known_connection is not None and timer.known_connection.info.facts is not None)
    yield from click_button("splatlift.folder", "2_capture")
    yield from ask(f"TYPE {PHOTOGRAPHS}\r 2_typed")
    bpy.context.scene.splatlift.quality = QUALITY
    yield from until(lambda: timer.surveyed is not None)
    yield from wait(5)
    yield from ask("2_chosen")
    yield from click_button("splatlift.segment", "3_segment")
    yield from until(lambda: bool(timer.jobs))
    job = timer.jobs[-1]
    yield from until(lambda: (job.stage == "reconstruct" and job.fraction > 0.6) or job.final)
    yield from ask("3_working")
    yield from until(lambda: job.final)
    yield from wait(5)
    yield from ask("3_finished")
    yield from click_button("splatlift.import_result", "4_import")
    yield from until(lambda: bool(bpy.context.scene.objects) and timer.importing is None)
    yield from wait(10)
    yield from ask("4_imported")
    yield from click_button("splatlift.look_through", "5_look")
    yield from until(lambda: view().spaces.active.region_3d.view_perspective == "CAMERA")
    yield from wait(10)
    yield from ask("5_objects")
    yield from ask("QUIT")


run(steps(), SCALE)
