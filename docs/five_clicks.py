"""From an empty Blender to the objects of a folder of photographs, by five clicks, with a picture after each.

Made docs/images/five_clicks.png. It runs inside a Blender that has a window, and needs a server at
tcp://127.0.0.1:5757, and in the folder of this file the extension's zip and a folder ``desk`` of photographs:

    blender --factory-startup -p 0 0 1280 800 --python five_clicks.py

A program outside makes the clicks and the pictures, as a person would. It reads the file ``shots`` line by line
(``NAME``; ``CLICK X Y NAME`` in pixels of the screen; ``TYPE TEXT NAME``; ``QUIT``), saves the screen as ``NAME.png``,
and then makes the file ``NAME.done``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import bpy

FOLDER = Path(__file__).parent
PHOTOGRAPHS = FOLDER / "desk"
REPOSITORY = "user_default"
QUALITY = "draft"
SCALE = 0.75
"""Of the interface: so all of the panel is seen at once."""
CONNECT, CAPTURE, SEGMENT, IMPORT, LOOK = (985, 97), (960, 180), (940, 297), (985, 387), (946, 698)
FOLD = (897, 361)
"""Where the buttons are, in pixels from the left and the top. Folding the list of sent captures makes room for the last
of them, as the screen is low."""
INTERVAL = 0.3
"""Seconds between two steps."""


def steps() -> Iterator[None]:
    """Go from an empty file to objects; yields while it waits."""
    bpy.ops.extensions.package_install_files(
        filepath=str(next(FOLDER.glob("splatlift*.zip"))), repo=REPOSITORY, enable_on_install=True
    )
    for each in list(bpy.data.objects):
        bpy.data.objects.remove(each)
    yield
    view = next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "VIEW_3D")
    view.spaces.active.show_region_ui = True
    yield
    next(region for region in view.regions if region.type == "UI").active_panel_category = "SplatLift"
    view.tag_redraw()
    timer = __import__(f"bl_ext.{REPOSITORY}.splatlift.timer", fromlist=["timer"]).timer
    yield from wait(5)

    yield from ask("0_empty")
    yield from click(CONNECT, "1_connect")
    yield from until(lambda: timer.known_connection is not None and timer.known_connection.info.facts is not None)
    yield from click(CAPTURE, "2_capture")
    yield from ask(f"TYPE {PHOTOGRAPHS}\r 2_typed")
    bpy.context.scene.splatlift.quality = QUALITY
    yield from until(lambda: timer.surveyed is not None)
    yield from wait(5)
    yield from ask("2_chosen")
    yield from click(SEGMENT, "3_segment")
    yield from until(lambda: bool(timer.jobs))
    job = timer.jobs[-1]
    yield from until(lambda: (job.stage == "reconstruct" and job.fraction > 0.6) or job.final)
    yield from ask("3_working")
    yield from until(lambda: job.final)
    yield from wait(5)
    yield from ask("3_finished")
    yield from click(IMPORT, "4_import")
    yield from until(lambda: bool(bpy.context.scene.objects) and timer.importing is None)
    yield from wait(10)
    yield from ask("4_imported")
    yield from click(FOLD, "4_folded")
    yield from click(LOOK, "5_look")
    yield from until(lambda: view.spaces.active.region_3d.view_perspective == "CAMERA")
    yield from wait(10)
    yield from ask("5_objects")
    yield from ask("QUIT")


def click(place: tuple[int, int], name: str) -> Iterator[None]:
    yield from ask(f"CLICK {place[0]} {place[1]} {name}")


def ask(line: str) -> Iterator[None]:
    """Have something clicked, typed or photographed, and wait until it is."""
    with (FOLDER / "shots").open("a") as shots:
        shots.write(f"{line}\n")
    done = FOLDER / f"{line.split(' ')[-1]}.done"
    while not done.exists() and line != "QUIT":
        yield


def until(ready: Callable[[], bool]) -> Iterator[None]:
    """Wait until something is so."""
    while not ready():
        yield


def wait(count: int) -> Iterator[None]:
    """Wait for a number of steps."""
    for _ in range(count):
        yield


running = steps()


def tick() -> float | None:
    """Do a step; Blender calls it again after the seconds that it returns. An error is printed and ends the steps."""
    try:
        next(running)
    except StopIteration:
        bpy.ops.wm.quit_blender()
        return None
    return INTERVAL


bpy.context.preferences.view.show_splash = False
bpy.context.preferences.view.ui_scale = SCALE
bpy.app.timers.register(tick, first_interval=2)
