"""Files that were changed without the add-on: every operator does its work, or says in a sentence why it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import session  # noqa: E402
from blender_addon.settings import shown_scene  # noqa: E402
from blender_addon.splats.attributes import is_splats  # noqa: E402
from blender_addon.splats.columns import write_positions  # noqa: E402
from protocol.result.table import read_table  # noqa: E402
from tests.blender.addon import draw, registered  # noqa: E402
from tests.blender.clumps import REAL, clumps, write_clumps  # noqa: E402

OPS = bpy.ops.splatlift
KEEPING: dict[str, dict[str, Any]] = {
    "check_next": {},
    "show_as": {"display": "POINTS"},
    "add_cameras": {},
    "mark_floaters": {},
    "set_origin": {"place": "BASE"},
    "add_hulls": {},
    "show_form": {"form": "MESH"},
    "rename": {"name": "cup"},
    "recolour": {"colour": (1, 0, 0)},
    "isolate": {},
    "show_others": {},
    "save_edits": {},
    "duplicate": {},
    "split_selection": {},
}
"""Operators with arguments. They are called one after the other."""
CHANGING = ("show_form", "set_origin", "save_edits", "duplicate", "merge", "delete")
"""Each is called on a file of its own."""


@pytest.fixture(autouse=True)
def addon(tmp_path: Path) -> Iterator[None]:
    with registered():
        yield


def fill(folder: Path) -> Any:
    """Import a result with three objects and a background from a folder; "mug" and "plant" are selected."""
    write_clumps(folder / "in", clumps(40), meshes=True)
    OPS.import_result(*REAL, display="POINTS", directory=str(folder / "in"))
    pick("mug", "plant")
    return session.scenes()[0]


def pick(*names: str) -> None:
    for thing in bpy.context.view_layer.objects:
        thing.select_set(thing.name in names)
    bpy.context.view_layer.objects.active = bpy.data.objects[names[0]]


def linked(folder: Path) -> Any:
    """Link the scene from another file."""
    fill(folder)
    other = str(folder / "other.blend")
    bpy.ops.wm.save_as_mainfile(filepath=other, copy=True)
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(other, link=True) as (_, chosen):
        chosen.collections = ["kitchen"]
    bpy.context.scene.collection.children.link(chosen.collections[0])
    pick("mug", "plant")
    return chosen.collections[0]


def overridden(folder: Path) -> None:
    linked(folder).override_hierarchy_create(bpy.context.scene, bpy.context.view_layer)
    for thing in bpy.context.view_layer.objects:
        thing.select_set(is_splats(thing.data) and thing.library is None)


def nested(folder: Path) -> None:
    """Put the collection of one object into that of another."""
    scene = fill(folder)
    scene.children.unlink(bpy.data.collections["mug"])
    bpy.data.collections["plant"].children.link(bpy.data.collections["mug"])


def moved_out(folder: Path) -> None:
    scene = fill(folder)
    scene.children.unlink(bpy.data.collections["mug"])
    bpy.context.scene.collection.children.link(bpy.data.collections["mug"])


def flat(folder: Path) -> None:
    fill(folder)
    bpy.data.objects["mug"].scale = (0, 0, 0)
    bpy.context.view_layer.update()


def emptied(folder: Path) -> None:
    """Delete all points of an object with Blender's tools."""
    fill(folder)
    pick("mug")
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.mesh.delete(type="VERT")
    bpy.ops.object.mode_set(mode="OBJECT")
    pick("mug", "plant")


def without_attributes(folder: Path) -> None:
    fill(folder)
    for name in ("mug", "plant"):
        attributes = bpy.data.objects[name].data.attributes
        attributes.remove(attributes["f_dc_0"])


def not_finite(folder: Path) -> None:
    fill(folder)
    data = bpy.data.objects["mug"].data
    write_positions(data, np.full((len(data.vertices), 3), np.nan, np.float32))


def without_data(folder: Path) -> None:
    fill(folder)
    for name in ("mug", "plant"):
        bpy.data.objects.remove(bpy.data.objects[name])


def copied_scene(folder: Path) -> None:
    fill(folder)
    bpy.ops.scene.new(type="FULL_COPY")


def call(name: str) -> None:
    """Call an operator, which may refuse, and draw the panels."""
    try:
        getattr(OPS, name)(*REAL, **KEEPING.get(name, {}))
    except RuntimeError as refusal:
        if "Traceback" in str(refusal):
            pytest.fail(f"{name}: {refusal}")
    draw("SPLATLIFT_PT_objects")
    if shown_scene(bpy.context) is not None:
        for each in ("SPLATLIFT_PT_edit", "SPLATLIFT_PT_check", "SPLATLIFT_PT_look"):
            draw(each)


@pytest.mark.parametrize(
    "change",
    [
        linked,
        overridden,
        nested,
        moved_out,
        flat,
        emptied,
        without_attributes,
        not_finite,
        without_data,
        copied_scene,
    ],
)
def test_no_operator_ends_in_a_traceback(change: Callable[[Path], Any], tmp_path: Path) -> None:
    change(tmp_path / "first")
    for name in KEEPING:
        call(name)
    for name in CHANGING:
        bpy.ops.wm.read_homefile(use_empty=True)
        change(tmp_path / name)
        call(name)


def test_linked_objects_are_not_edited(tmp_path: Path) -> None:
    linked(tmp_path)
    with pytest.raises(RuntimeError, match="linked from another file"):
        OPS.rename(*REAL, name="cup")
    with pytest.raises(RuntimeError, match="linked from another file"):
        OPS.save_edits(*REAL)


def test_an_object_in_another_is_deleted_with_it(tmp_path: Path) -> None:
    nested(tmp_path)
    OPS.delete(*REAL)
    assert [each.name for each in session.objects_of(session.scenes()[0])] == ["lamp"]


def test_an_emptied_object_is_left_out_of_the_result(tmp_path: Path) -> None:
    emptied(tmp_path)
    OPS.save_edits(*REAL)
    assert [row.name for row in read_table(tmp_path / "in").objects] == ["plant", "lamp"]


def test_lost_attributes_and_backgrounds_are_said(tmp_path: Path) -> None:
    without_attributes(tmp_path)
    bpy.context.scene.splatlift.row = 0
    pick("lamp", "background")
    with pytest.raises(RuntimeError, match="background has no mesh"):
        OPS.show_form(*REAL, form="MESH")


def test_a_copied_scene_is_edited_alone(tmp_path: Path) -> None:
    copied_scene(tmp_path)
    scene = shown_scene(bpy.context)
    assert scene in bpy.context.scene.collection.children_recursive
    mug = next(each for each in session.objects_of(scene) if each.splatlift.label == 1)
    OPS.select_object(*REAL, object_id=mug.splatlift.object_id)
    assert [thing.name for thing in bpy.context.selected_objects] == [mug.all_objects[0].name]
    OPS.delete(*REAL)
    counts = sorted(len(session.objects_of(each)) for each in session.scenes())
    assert counts == [2, 3]


def test_copies_of_a_collection_are_told_apart_by_name(tmp_path: Path) -> None:
    scene = fill(tmp_path)
    mug = bpy.data.collections["mug"]
    copy = mug.copy()
    thing = mug.objects[0].copy()
    thing.data = thing.data.copy()
    copy.objects.unlink(mug.objects[0])
    copy.objects.link(thing)
    scene.children.link(copy)
    bpy.context.view_layer.update()
    for each in (mug, copy):
        OPS.select_object(*REAL, object_id=mug.splatlift.object_id, collection=each.name)
        assert [thing.name for thing in bpy.context.selected_objects] == [each.objects[0].name]


def test_a_hidden_object_leaves_the_selection(tmp_path: Path) -> None:
    fill(tmp_path)
    bpy.data.collections["lamp"].hide_viewport = True
    bpy.context.view_layer.update()
    OPS.select_object(*REAL, object_id=bpy.data.collections["lamp"].splatlift.object_id)
    assert sorted(thing.name for thing in bpy.context.selected_objects) == ["mug", "plant"]
