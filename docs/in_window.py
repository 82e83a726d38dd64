"""What the scripts that photograph Blender's window share: its panel, clicks, pictures, and steps that wait.

A program outside makes the clicks and the pictures, as a person would. It reads the file ``shots`` beside the scripts
line by line (``NAME``; ``CLICK X Y NAME`` in pixels of the screen; ``TYPE TEXT NAME``; ``QUIT``), saves the screen as
``NAME.png``, and then makes the file ``NAME.done``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy

FOLDER = Path(__file__).parent
REPOSITORY = "user_default"
INTERVAL = 0.3
"""Seconds between two steps."""
PROBE = 0.1
"""Seconds for which the mouse is at a place where a button is searched."""
STEP, COLUMNS = 10, (0.6, 0.4, 0.8)
"""Pixels between the rows of the panel that are searched for a button; places in a row, as shares of its width."""
PAGES = 4
"""Times that the panel is searched; it is scrolled down by its height in between."""
PLACES: dict[str, tuple[int, int]] = {}
"""Where buttons were found, in pixels from the left and the top of the screen."""


def show_panel(opened: tuple[str, ...] = ()) -> Iterator[None]:
    """Install the extension's zip beside this file, empty the scene, and show the tab of the add-on.

    Args:
        opened: modules of the add-on whose panels are open at first; the others are as an artist finds them.
    """
    bpy.ops.extensions.package_install_files(
        filepath=str(next(FOLDER.glob("splatlift*.zip"))), repo=REPOSITORY, enable_on_install=True
    )
    for each in list(bpy.data.objects):
        bpy.data.objects.remove(each)
    for name in opened:
        module(name).unregister()
        for panel in module(name).CLASSES:
            panel.bl_options = set()
        module(name).register()
    yield
    view().spaces.active.show_region_ui = True
    yield
    region("UI").active_panel_category = "SplatLift"
    view().tag_redraw()


def module(name: str) -> Any:
    """Return a module of the installed extension."""
    return __import__(f"bl_ext.{REPOSITORY}.splatlift.{name}", fromlist=["splatlift"])


def view() -> Any:
    """Return the largest 3D view."""
    areas = bpy.context.window_manager.windows[0].screen.areas
    return max((area for area in areas if area.type == "VIEW_3D"), key=lambda area: area.width * area.height)


def region(kind: str = "WINDOW") -> Any:
    return next(each for each in view().regions if each.type == kind)


def press(name: str, how: str = "EXEC_DEFAULT", **arguments: Any) -> None:
    """Call an operator of the add-on as its button in the panel does."""
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=view(), region=region()):
        getattr(bpy.ops.splatlift, name)(how, **arguments)


def click(place: tuple[int, int], name: str) -> Iterator[None]:
    yield from ask(f"CLICK {place[0]} {place[1]} {name}")


def find(what: str) -> Iterator[float | None]:
    """Find a button of the side panel with the mouse, scroll to it if needed, and add its place to :data:`PLACES`.

    Args:
        what: part of what Blender copies of the button: its operator as Python, such as ``splatlift.connect``, or the
            path of its property, such as ``splatlift.folder``.

    Raises:
        LookupError: if the panel shows no such button.
    """
    window, panel, shading = bpy.context.window_manager.windows[0], region("UI"), view().spaces.active.shading
    # Without a graphics card, drawing splats takes longer than a probe.
    before, shading.type = shading.type, "WIREFRAME"
    try:
        yield from _search(what, window, panel)
    finally:
        shading.type = before


def _search(what: str, window: Any, panel: Any) -> Iterator[float | None]:
    for _ in range(PAGES):
        for share in COLUMNS:
            x = panel.x + int(share * panel.width)
            for y in range(panel.y + panel.height - STEP, panel.y, -STEP):
                window.cursor_warp(x, y)
                yield PROBE
                if what in _under_mouse(panel):
                    PLACES[what] = x, window.height - y
                    return
        with bpy.context.temp_override(window=window, area=view(), region=panel):
            bpy.ops.view2d.scroll_down(page=True)
        yield
    raise LookupError(f"The panel shows no button of {what}.")


def _under_mouse(panel: Any) -> str:
    """Return the operator or the property of the button under the mouse; empty if there is none."""
    manager: Any = bpy.context.window_manager
    buttons: Any = bpy.ops.ui
    with bpy.context.temp_override(window=manager.windows[0], area=view(), region=panel):
        for copy in (buttons.copy_python_command_button, buttons.copy_data_path_button):
            if copy.poll():
                copy()
                return manager.clipboard
    return ""


def click_button(what: str, name: str) -> Iterator[float | None]:
    """Click a button of the side panel, see :func:`find`."""
    yield from find(what)
    yield from click(PLACES[what], name)


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


def run(steps: Iterator[float | None], scale: float) -> None:
    """Take the steps from a timer, and quit Blender after the last one.

    An error is printed by Blender and ends the steps.

    Args:
        steps: yield the seconds until the next step, or None for the usual interval.
        scale: of the interface.
    """

    def tick() -> float | None:
        try:
            return next(steps) or INTERVAL
        except StopIteration:
            bpy.ops.wm.quit_blender()
            return None

    bpy.context.preferences.view.show_splash = False
    bpy.context.preferences.view.ui_scale = scale
    bpy.app.timers.register(tick, first_interval=2, persistent=True)
