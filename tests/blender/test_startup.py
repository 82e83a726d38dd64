"""The cube of Blender's startup file is offered for deletion as long as it is untouched, and never deleted unasked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import session  # noqa: E402
from blender_addon.operators import importing  # noqa: E402
from blender_addon.startup import startup_cube  # noqa: E402
from tests.blender.addon import draw, registered  # noqa: E402
from tests.blender.clumps import REAL, part, write_clumps  # noqa: E402

BUTTON = "<Delete Startup Cube>"


@pytest.fixture
def cube(tmp_path: Path) -> Iterator[Any]:
    """The cube in a startup file with an imported scene."""
    with registered():
        bpy.ops.wm.read_homefile(use_factory_startup=True)
        bpy.ops.ed.undo_push(message="start")
        write_clumps(tmp_path / "in")
        bpy.ops.splatlift.import_result(*REAL, directory=str(tmp_path / "in"), display="POINTS")
        yield bpy.data.objects["Cube"]


def test_the_cube_is_deleted_with_a_click_and_brought_back_by_undo(cube: Any) -> None:
    assert startup_cube(bpy.context) == cube
    assert BUTTON in draw("SPLATLIFT_PT_objects")
    assert bpy.ops.splatlift.delete_startup_cube(*REAL) == {"FINISHED"}
    assert not {"Cube"} & {*bpy.data.objects.keys(), *bpy.data.meshes.keys()}
    assert BUTTON not in draw("SPLATLIFT_PT_objects")
    assert not bpy.ops.splatlift.delete_startup_cube.poll()
    bpy.ops.ed.undo()
    assert startup_cube(bpy.context) == bpy.data.objects["Cube"]
    assert session.scenes()


@pytest.mark.parametrize(
    "change",
    [
        lambda cube: setattr(cube, "location", (0, 0, 1)),
        lambda cube: setattr(cube, "name", "Table"),
        lambda cube: cube.modifiers.new("Bevel", "BEVEL"),
        lambda cube: cube.hide_set(True),
        lambda cube: setattr(cube.data.vertices[0], "co", (-1, -1, -2)),
    ],
    ids=["moved", "renamed", "modified", "hidden", "edited"],
)
def test_a_cube_that_somebody_changed_is_left_alone(cube: Any, change: Callable[[Any], Any]) -> None:
    change(cube)
    bpy.context.view_layer.update()
    assert startup_cube(bpy.context) is None
    assert BUTTON not in draw("SPLATLIFT_PT_objects")


def test_an_import_shows_no_lines_from_objects_to_their_placement(cube: Any) -> None:
    assert not any(view.overlay.show_relationship_lines for view in importing.views())


def test_an_import_selects_its_first_object_and_not_the_cube(cube: Any) -> None:
    layer = bpy.context.view_layer
    assert [each for each in layer.objects if each.select_get()] == list(part("mug").objects)
    assert layer.objects.active in list(part("mug").objects)
