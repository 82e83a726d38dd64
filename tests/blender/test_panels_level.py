"""The level of a result in the panel, and the list of an object's parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import session  # noqa: E402
from blender_addon.operators.edit_targets import targets  # noqa: E402
from blender_addon.settings import chosen_object  # noqa: E402
from blender_addon.splats.collections import splat_objects  # noqa: E402
from tests.blender.addon import draw, registered, says  # noqa: E402
from tests.blender.clumps import part, pick_parts, write_clumps, write_parted  # noqa: E402


@pytest.fixture(autouse=True)
def addon() -> Iterator[None]:
    with registered():
        yield


def test_a_flat_result_has_no_level(tmp_path: Path) -> None:
    write_clumps(tmp_path / "in")
    session.import_folder(tmp_path / "in")
    assert "Level" not in draw("SPLATLIFT_PT_objects")


def test_the_level_is_chosen_and_lists_parts(tmp_path: Path) -> None:
    write_parted(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in")
    bpy.context.scene.splatlift.row = 0
    drawn = draw("SPLATLIFT_PT_objects")
    assert drawn[drawn.index("Level") :][:3] == ["Level", "(*Objects)", "(Parts)"]
    assert "Parts of mug" not in drawn
    assert chosen_object(bpy.context) == part("mug")
    scene.splatlift.level = "PART"
    assert "Parts of mug" in draw("SPLATLIFT_PT_objects")
    bpy.context.scene.splatlift.part_row = 1
    assert chosen_object(bpy.context) == part("mug part 2")
    bpy.context.scene.splatlift.row = scene.children[:].index(part("lamp"))
    assert says(draw("SPLATLIFT_PT_objects"), "lamp has no parts")
    assert chosen_object(bpy.context) == part("lamp")


def test_edits_are_about_the_object_or_the_selected_parts(tmp_path: Path) -> None:
    write_parted(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in")
    bpy.context.view_layer.update()
    pick_parts(["mug", "lamp"])
    assert {each.name for each in targets(bpy.context)} == {"mug", "lamp"}
    for thing in splat_objects(part("mug part 1")):
        thing.select_set(False)
    assert {each.name for each in targets(bpy.context)} == {"mug part 2", "lamp"}
    pick_parts(["mug"])
    scene.splatlift.level = "PART"
    assert {each.name for each in targets(bpy.context)} == {"mug part 1", "mug part 2"}


def test_the_level_survives_undo_and_the_file(tmp_path: Path) -> None:
    write_parted(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in")
    bpy.ops.ed.undo_push(message="imported")
    scene.splatlift.level = "PART"
    bpy.ops.ed.undo_push(message="level")
    bpy.ops.ed.undo()
    assert session.scenes()[0].splatlift.level == "WHOLE"
    bpy.ops.ed.redo()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    (scene,) = session.scenes()
    assert scene.splatlift.level == "PART"
    assert [each.name for each in session.units_of(scene)][:2] == ["mug part 1", "mug part 2"]
    assert session.object_of(part("plant part 2")) == part("plant")
