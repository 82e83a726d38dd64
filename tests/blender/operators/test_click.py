"""The tool that selects by clicks: which events it takes, which pixel it means, and the steps of undo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import session  # noqa: E402
from blender_addon.operators import click as click_module  # noqa: E402
from blender_addon.operators.click import (  # noqa: E402
    SPLATLIFT_OT_select_by_click,
    Under,
    click,
    mode_of,
    view_under,
)
from blender_addon.picking.clicking import Clicks  # noqa: E402
from blender_addon.settings import chosen_object  # noqa: E402
from tests.blender.addon import draw, registered  # noqa: E402
from tests.blender.clumps import part, write_parted  # noqa: E402
from tests.blender.picking.sights import SIZE, camera_at, pixel_of, sight_through  # noqa: E402
from tests.blender.picking.test_clicking import PLACE, middle, selected  # noqa: E402


@pytest.fixture(autouse=True)
def addon() -> Iterator[None]:
    with registered():
        yield


def region(kind: str, x: int, y: int, width: int, height: int) -> Any:
    return SimpleNamespace(type=kind, x=x, y=y, width=width, height=height, tag_redraw=lambda: None)


def screen() -> Any:
    """A window with a 3D view that has a panel on it, and another editor."""
    view = region("WINDOW", 100, 50, *SIZE)
    sight = sight_through(camera_at(PLACE, (5.0, 5.0, 0.0)))
    view.data = SimpleNamespace(view_matrix=sight.view, window_matrix=sight.projection)
    area = SimpleNamespace(
        type="VIEW_3D",
        regions=[view, region("UI", 100 + SIZE[0] - 20, 50, 20, SIZE[1])],
        spaces=SimpleNamespace(active=bpy.data.screens["Layout"].areas[0].spaces.active),
    )
    other = SimpleNamespace(type="OUTLINER", regions=[region("WINDOW", 600, 50, 100, 300)])
    return SimpleNamespace(areas=[other, area])


def test_the_view_under_the_mouse_is_found_and_its_panels_are_not() -> None:
    shown = screen()
    under = view_under(shown, 110, 80)
    assert under is not None
    assert (under.area, under.x, under.y) == (shown.areas[1], 10.5, 30.5)
    for x, y in ((99, 80), (110, 49), (100 + SIZE[0] - 10, 80), (620, 80)):
        assert view_under(shown, x, y) is None


@pytest.mark.parametrize(
    ("shift", "ctrl", "mode"),
    [(False, False, "set"), (True, False, "add"), (False, True, "subtract"), (True, True, "intersect")],
)
def test_keys_choose_what_a_click_does(shift: bool, ctrl: bool, mode: str) -> None:
    assert mode_of(shift, ctrl) == mode


class Running:
    """The operator while it runs, in a window that is not there."""

    def __init__(self) -> None:
        self.said: list[str | None] = []
        self.ended = 0
        self._clicks = Clicks()
        self._overlay = SimpleNamespace(remove=lambda: None)
        self.context = SimpleNamespace(
            mode="OBJECT",
            scene=bpy.context.scene,
            view_layer=bpy.context.view_layer,
            window=SimpleNamespace(screen=screen(), cursor_modal_restore=lambda: None),
            workspace=SimpleNamespace(status_text_set=self.said.append),
        )

    def cancel(self, context: Any) -> None:
        self.ended += 1

    def event(self, kind: str, value: str = "PRESS", at: tuple[float, float] = (0, 0), **keys: bool) -> set[str]:
        view = self.context.window.screen.areas[1].regions[0]
        event = SimpleNamespace(
            type=kind,
            value=value,
            mouse_x=int(view.x + at[0]),
            mouse_y=int(view.y + at[1]),
            **{"shift": False, "ctrl": False, **keys},
        )
        return {*SPLATLIFT_OT_select_by_click.modal(self, self.context, event)}  # pyright: ignore[reportArgumentType]


@pytest.fixture
def running(tmp_path: Path) -> Running:
    write_parted(tmp_path / "in")
    session.import_folder(tmp_path / "in")
    bpy.context.view_layer.update()
    return Running()


def place_of(name: str) -> tuple[float, float]:
    return pixel_of(sight_through(bpy.data.objects["looking"]), middle(part(name)))


@pytest.fixture
def visible(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a window no 3D view shows anything; what is not hidden counts as shown."""
    from blender_addon.operators import click as module

    monkeypatch.setattr(module, "is_shown", lambda space: lambda thing: thing.visible_get())


@pytest.mark.usefixtures("visible")
def test_clicks_are_taken_and_everything_else_is_passed_on(running: Running) -> None:
    for kind in ("MOUSEMOVE", "MIDDLEMOUSE", "WHEELUPMOUSE", "Z"):
        assert running.event(kind) == {"PASS_THROUGH"}
    assert running.event("LEFTMOUSE", "RELEASE") == {"PASS_THROUGH"}
    assert running.event("LEFTMOUSE", at=(SIZE[0] - 10, 80)) == {"PASS_THROUGH"}, "a click on a panel"
    assert running.event("LEFTMOUSE", at=place_of("mug part 1")) == {"RUNNING_MODAL"}
    assert selected() == {"mug part 1", "mug part 2"}
    assert str(running.said[-1]).startswith("Selected: mug.")
    assert running.event("LEFTMOUSE", "DOUBLE_CLICK", at=place_of("mug part 1")) == {"RUNNING_MODAL"}
    assert selected() == {"mug part 1"}
    running.event("LEFTMOUSE", at=place_of("plant"), shift=True)
    assert selected() == {"mug part 1", "plant part 1", "plant part 2", "plant rest"}
    running.event("LEFTMOUSE", at=(2, 2))
    assert str(running.said[-1]).startswith("No object is here. Click an object.")
    assert selected() == {"mug part 1", "plant part 1", "plant part 2", "plant rest"}
    assert running.event("ESC") == {"CANCELLED"}
    assert running.ended == 1


@pytest.mark.usefixtures("visible")
def test_the_tool_ends_where_objects_cannot_be_selected(running: Running) -> None:
    running.context.mode = "EDIT_MESH"
    assert running.event("MOUSEMOVE") == {"PASS_THROUGH", "CANCELLED"}
    assert running.ended == 1


@pytest.mark.usefixtures("visible")
def test_a_click_is_a_step_of_undo_and_chooses_in_the_list(running: Running) -> None:
    area = running.context.window.screen.areas[1]
    clicks = Clicks()
    bpy.ops.ed.undo_push(message="start")

    def at(name: str) -> str:
        return click(bpy.context, clicks, Under(area, area.regions[0], *place_of(name)), "set")

    at("lamp")
    assert chosen_object(bpy.context) == part("lamp")
    at("mug part 2")
    at("mug part 2")
    assert selected() == {"mug part 2"}
    assert bpy.context.scene.splatlift.part_row == 1
    for before in ({"mug part 1", "mug part 2"}, {"lamp"}, set()):
        bpy.ops.ed.undo()
        assert selected() == before
    bpy.ops.ed.redo()
    assert selected() == {"lamp"}
    # What was prepared for clicks is still right.
    assert click(bpy.context, clicks, Under(area, area.regions[0], *place_of("lamp")), "set") == "Selected: lamp."


def test_the_tool_runs_once_and_leaves_nothing_behind(running: Running) -> None:
    tool = SPLATLIFT_OT_select_by_click
    assert tool.poll(bpy.context)
    removed: list[None] = []
    tool.overlay = SimpleNamespace(remove=lambda: removed.append(None))  # pyright: ignore[reportAttributeAccessIssue]
    tool.is_running = True
    assert not bpy.ops.splatlift.select_by_click.poll()

    tool.cancel(running, running.context)  # pyright: ignore[reportArgumentType]
    assert bpy.ops.splatlift.select_by_click.poll()
    assert removed == [None]
    assert running.said == [None]

    # Blender drops the handler of a tool that is unregistered without calling it.
    tool.overlay = SimpleNamespace(remove=lambda: removed.append(None))  # pyright: ignore[reportAttributeAccessIssue]
    tool.is_running = True
    click_module.unregister()
    click_module.register()
    assert bpy.ops.splatlift.select_by_click.poll()
    assert removed == [None, None]


def test_the_panel_has_the_button() -> None:
    assert draw("SPLATLIFT_PT_select") == ["<Select by Click>"]


def test_a_view_is_read_from_its_region() -> None:
    from blender_addon.operators.click import sight_of

    view = screen().areas[1].regions[0]
    sight = sight_of(view)
    assert (sight.width, sight.height) == SIZE
    np.testing.assert_array_equal(sight.projection, view.data.window_matrix)
