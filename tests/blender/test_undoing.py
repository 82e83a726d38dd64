"""Undo and redo of how objects are shown, in solid views."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import undoing  # noqa: E402
from blender_addon.operators import importing  # noqa: E402
from blender_addon.session import scenes  # noqa: E402
from blender_addon.splats.collections import shown_as  # noqa: E402
from tests.blender.addon import registered  # noqa: E402
from tests.blender.clumps import REAL, write_clumps  # noqa: E402


def undo_or_redo(operator: Any) -> None:
    """Call the operator, and then what it has asked Blender's timers to call: they do not run without a window."""
    operator()
    assert bpy.app.timers.is_registered(undoing.colour_views)
    undoing.colour_views()
    bpy.app.timers.unregister(undoing.colour_views)


@pytest.fixture
def view(tmp_path: Path) -> Iterator[Any]:
    """A 3D view with a scene that was imported as points."""
    with registered():
        write_clumps(tmp_path / "in")
        bpy.ops.ed.undo_push(message="start")
        bpy.ops.splatlift.import_result(*REAL, directory=str(tmp_path / "in"), display="POINTS")
        yield importing.views()[0]


def test_solid_views_get_the_colours_of_what_undo_and_redo_show(view: Any) -> None:
    assert view.shading.color_type == "OBJECT"
    bpy.ops.splatlift.show_as(*REAL, display="SPLATS")
    assert view.shading.color_type == "MATERIAL"
    undo_or_redo(bpy.ops.ed.undo)
    assert (shown_as(scenes()[0])[0], view.shading.color_type) == ("POINTS", "OBJECT"), "MATERIAL shows grey points"
    undo_or_redo(bpy.ops.ed.redo)
    assert (shown_as(scenes()[0])[0], view.shading.color_type) == ("SPLATS", "MATERIAL")


def test_an_undo_of_something_else_leaves_the_colours_of_views(view: Any) -> None:
    bpy.context.view_layer.objects.active.location.x = 1
    bpy.ops.ed.undo_push(message="move")
    view.shading.color_type = "MATERIAL"
    undo_or_redo(bpy.ops.ed.undo)
    assert view.shading.color_type == "MATERIAL"
