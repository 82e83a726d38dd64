"""The Edit buttons: what they act on, in Object Mode and in Edit Mode, when they are greyed out, and the panel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

import bmesh  # noqa: E402

from blender_addon.editing.parts import pieces_of  # noqa: E402
from blender_addon.editing.remove import delete_selection  # noqa: E402
from blender_addon.operators.edit_targets import targets  # noqa: E402
from blender_addon.splats.attributes import read_splats  # noqa: E402
from tests.blender.addon import draw, registered  # noqa: E402
from tests.blender.clumps import REAL, part, pick_parts, state, undo_and_redo, write_clumps  # noqa: E402
from tests.blender.example import same  # noqa: E402

OPS = bpy.ops.splatlift
EDITS = (
    *("rename", "recolour", "merge", "delete", "duplicate", "isolate", "split_selection", "split_pieces", "assign"),
    *("assign_to_background", "delete_selection", "remove_floaters", "select_similar", "grow_selection"),
    "shrink_selection",
)


@pytest.fixture
def addon() -> Iterator[None]:
    kept = bpy.context.preferences.edit.undo_steps
    bpy.context.preferences.edit.undo_steps = 100
    with registered():
        yield
        if bpy.context.object is not None and bpy.context.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
    bpy.context.preferences.edit.undo_steps = kept


@pytest.fixture
def scene(addon: None, tmp_path: Path) -> Any:
    write_clumps(tmp_path / "in", embedding=True)
    OPS.import_result(*REAL, display="POINTS", directory=str(tmp_path / "in"))
    return bpy.data.collections["kitchen"]


def select_in_edit_mode(name: str, rows: np.ndarray, active: int | None = None) -> None:
    """Select points as a click in Edit Mode does it."""
    thing = pieces_of_fast(name)
    mesh = bmesh.from_edit_mesh(thing.data)
    mesh.verts.ensure_lookup_table()
    for vertex in mesh.verts:
        vertex.select = bool(rows[vertex.index])
    if active is not None:
        mesh.select_history.clear()
        mesh.select_history.add(mesh.verts[active])
    bmesh.update_edit_mesh(thing.data)


def pieces_of_fast(name: str) -> Any:
    return pieces_of(part(name))[0].thing


def count(name: str) -> int:
    thing = pieces_of_fast(name)
    if thing.mode == "EDIT":
        thing.update_from_editmode()
    return len(thing.data.vertices)


def test_without_a_scene_every_button_is_grey_and_the_panel_is_away(addon: None) -> None:
    for name in (*EDITS, "save_edits", "show_others"):
        assert not getattr(OPS, name).poll()
    assert not bpy.types.SPLATLIFT_PT_edit.poll(bpy.context)
    with pytest.raises(RuntimeError, match="Import a result first"):
        OPS.merge()


def test_every_edit_is_undoable_and_has_a_tooltip(addon: None) -> None:
    for name in (*EDITS, "save_edits", "show_others"):
        cls = getattr(bpy.types, f"SPLATLIFT_OT_{name}")
        assert {"REGISTER", "UNDO"} <= set(cls.bl_options)
        description = getattr(OPS, name).get_rna_type().description
        assert len(description) > 15
        assert not description.endswith(".")


def test_edits_are_of_the_selected_objects_or_else_of_the_chosen_row(scene: Any) -> None:
    bpy.context.scene.splatlift.row = 1
    assert [each.name for each in targets(bpy.context)] == ["plant"]
    pick_parts(["lamp", "mug"])
    assert [each.name for each in targets(bpy.context)] == ["lamp", "mug"]
    bpy.ops.object.mode_set(mode="EDIT")
    assert [each.name for each in targets(bpy.context)] == ["lamp", "mug"]


def test_other_modes_are_refused(scene: Any) -> None:
    pick_parts(["mug"])
    bpy.ops.object.mode_set(mode="SCULPT")
    try:
        with pytest.raises(RuntimeError, match="Object Mode and in Edit Mode"):
            OPS.delete()
    finally:
        bpy.ops.object.mode_set(mode="OBJECT")
    assert part("mug")


def test_a_script_that_edits_without_undo_leaves_the_same(scene: Any) -> None:
    pick_parts(["mug", "lamp"])
    assert OPS.merge() == {"FINISHED"}
    assert [each.name for each in scene.children] == ["mug", "plant", "background"]
    assert [each.name for each in bpy.context.selected_objects] == ["mug"]


def test_the_active_object_gets_the_others(scene: Any) -> None:
    pick_parts(["lamp", "mug", "plant"])
    OPS.merge(*REAL)
    assert [each.name for each in scene.children] == ["lamp", "background"]
    assert count("lamp") == 900


def test_new_objects_are_selected_in_object_mode(scene: Any) -> None:
    pick_parts(["lamp", "mug"])
    OPS.duplicate(*REAL)
    assert {each.name for each in bpy.context.selected_objects} == {"lamp.001", "mug.001"}
    assert bpy.context.view_layer.objects.active.name in ("lamp.001", "mug.001")


def test_edits_in_edit_mode_of_several_objects_are_undone_and_redone(scene: Any) -> None:
    """Twenty steps, in which new objects come and go; the mode stays, but where a split has made something to move."""
    pick_parts(["mug", "plant"])
    bpy.ops.ed.undo_push(message="start")
    history = [state()]
    bpy.ops.object.mode_set(*REAL, mode="EDIT")
    history.append(state())
    first = np.arange(300)

    def step(edit: Any, mode: str = "EDIT") -> None:
        assert edit() == {"FINISHED"}
        history.append(state())
        assert pieces_of_fast("mug").mode == pieces_of_fast("plant").mode == mode

    def back() -> None:
        chosen = {thing.name for thing in bpy.context.selected_objects}
        assert not chosen & {"mug", "plant"}
        assert len(chosen) == 2, "what was split off is selected"
        pick_parts(["mug", "plant"])
        bpy.ops.ed.undo_push(message="select objects")
        history.append(state())
        bpy.ops.object.mode_set(*REAL, mode="EDIT")
        history.append(state())

    def select(rows: np.ndarray, active: int | None = None) -> None:
        for name in ("mug", "plant"):
            select_in_edit_mode(name, np.resize(rows, 400), active)
        bpy.ops.ed.undo_push(message="select")
        history.append(state())

    to = part("lamp").splatlift.object_id
    for turn in range(3):
        select(first % 11 == turn)
        step(lambda: OPS.split_selection(*REAL), "OBJECT")
        back()
        select(first % 13 == turn)
        step(lambda: OPS.assign(*REAL, object_id=to))
        select(first % 17 == turn)
        step(lambda: OPS.assign_to_background(*REAL))
    select(first % 19 == 3)
    step(lambda: OPS.delete_selection(*REAL))
    assert len(history) >= 20
    assert len({repr(each) for each in history}) == len(history)
    assert len(scene.children) == 4 + 6
    undo_and_redo(history)


@pytest.mark.parametrize("edit", [OPS.merge, OPS.duplicate, OPS.delete])
def test_edits_of_whole_objects_end_in_object_mode_and_undo_returns(scene: Any, edit: Any) -> None:
    pick_parts(["mug", "plant"])
    bpy.ops.ed.undo_push(message="start")
    bpy.ops.object.mode_set(*REAL, mode="EDIT")
    before = state()
    assert edit(*REAL) == {"FINISHED"}
    assert bpy.context.mode == "OBJECT"
    after = state()
    bpy.ops.ed.undo()
    assert state() == before
    bpy.ops.ed.redo()
    assert state() == after


def test_what_fails_in_edit_mode_stays_there(scene: Any) -> None:
    pick_parts(["mug"])
    bpy.ops.object.mode_set(mode="EDIT")
    with pytest.raises(RuntimeError, match="At least two objects"):
        OPS.merge(*REAL)
    assert bpy.context.mode == "EDIT_MESH"


def test_the_selection_changes_in_edit_mode_and_is_undone(scene: Any) -> None:
    pick_parts(["mug"])
    bpy.ops.object.mode_set(*REAL, mode="EDIT")
    for edit in (
        lambda: OPS.grow_selection(*REAL),
        lambda: OPS.shrink_selection(*REAL),
        lambda: OPS.select_similar(*REAL, threshold=0.9),
    ):
        select_in_edit_mode("mug", np.arange(300) < 100, active=7)
        bpy.ops.ed.undo_push(message="select")
        before = state()
        assert edit() == {"FINISHED"}
        after = state()
        assert after != before
        bpy.ops.ed.undo()
        assert state() == before
        bpy.ops.ed.redo()
        assert state() == after


def test_the_active_gaussian_is_what_others_are_like(scene: Any, tmp_path: Path) -> None:
    pick_parts(["mug", "plant"])
    OPS.merge(*REAL)
    bpy.ops.object.mode_set(mode="EDIT")
    select_in_edit_mode("mug", np.arange(600) < 600, active=450)
    OPS.select_similar(*REAL, threshold=0.8)
    bpy.ops.object.mode_set(mode="OBJECT")
    selected = np.empty(600, bool)
    pieces_of_fast("mug").data.vertices.foreach_get("select", selected)
    assert selected[300:].mean() > 0.95
    assert selected[:300].mean() < 0.05


def test_an_object_that_is_edited_away_takes_edit_mode_with_it(scene: Any) -> None:
    pick_parts(["mug"])
    bpy.ops.object.mode_set(mode="EDIT")
    select_in_edit_mode("mug", np.ones(300, bool))
    assert OPS.delete_selection(*REAL) == {"FINISHED"}
    assert bpy.context.mode == "OBJECT"
    assert "mug" not in bpy.data.collections


def test_deleting_in_edit_mode_leaves_what_deleting_outside_of_it_leaves(scene: Any) -> None:
    rows = np.arange(300) % 3 == 0
    kept = read_splats(pieces_of_fast("mug").data).pick(~rows)
    pick_parts(["mug", "plant"])
    bpy.ops.object.mode_set(mode="EDIT")
    select_in_edit_mode("mug", rows)
    select_in_edit_mode("plant", np.zeros(300, bool))
    edited = bmesh.from_edit_mesh(pieces_of_fast("mug").data)
    assert OPS.delete_selection(*REAL) == {"FINISHED"}
    assert edited.is_valid, "Edit Mode was left"
    assert part("mug").splatlift.count == 200
    assert part("plant").splatlift.count == 300
    bpy.ops.object.mode_set(mode="OBJECT")
    assert same(read_splats(pieces_of_fast("mug").data), kept)
    assert count("plant") == 300


def test_deleting_in_edit_mode_spares_a_copy_that_shares_the_mesh_and_what_was_not_asked_for(scene: Any) -> None:
    twin = pieces_of_fast("mug").copy()
    bpy.context.collection.objects.link(twin)
    pick_parts(["mug", "plant"])
    bpy.ops.object.mode_set(mode="EDIT")
    for name in ("mug", "plant"):
        select_in_edit_mode(name, np.arange(300) < 100)
    assert delete_selection([part("mug")]) == 100
    assert bpy.context.mode == "EDIT_MESH"
    assert (count("mug"), count("plant"), len(twin.data.vertices)) == (200, 300, 300)
    assert delete_selection([part("plant")]) == 100
    assert (count("mug"), count("plant")) == (200, 200)


def test_what_goes_wrong_is_reported_and_nothing_is_changed(scene: Any) -> None:
    pick_parts(["mug"])
    bpy.ops.object.mode_set(mode="EDIT")
    select_in_edit_mode("mug", np.zeros(300, bool))
    before = state()
    for call in (OPS.split_selection, OPS.delete_selection, OPS.assign_to_background):
        with pytest.raises(RuntimeError, match="No Gaussians are selected"):
            call(*REAL)
    with pytest.raises(RuntimeError, match="not in this file"):
        OPS.assign(*REAL, object_id="nobody")
    assert state() == before


def test_isolating_is_a_pair_of_buttons(scene: Any) -> None:
    pick_parts(["mug"])
    assert not OPS.show_others.poll()
    assert "<Isolate>" in draw("SPLATLIFT_PT_edit")
    OPS.isolate(*REAL)
    assert OPS.show_others.poll()
    assert "<Show Others>" in draw("SPLATLIFT_PT_edit")
    OPS.show_others(*REAL)
    assert not any(each.hide_viewport for each in scene.children)


def test_the_panel_names_what_is_edited_and_fits_the_mode(scene: Any) -> None:
    bpy.context.scene.splatlift.row = 2
    assert draw("SPLATLIFT_PT_edit")[0] == "lamp"
    pick_parts(["mug", "plant"])
    drawn = draw("SPLATLIFT_PT_edit")
    assert drawn[0] == "2 objects: mug, plant"
    assert {"<Merge>", "<Delete>", "<Save Edits to Result>"} <= set(drawn)
    bpy.ops.object.mode_set(mode="EDIT")
    drawn = draw("SPLATLIFT_PT_edit")
    assert {"<Select Similar>", "<Assign to Object>", "<Delete Selection>"} <= set(drawn)
    assert "<Merge>" not in drawn


def test_saving_edits_is_a_button(scene: Any, tmp_path: Path) -> None:
    pick_parts(["mug"])
    OPS.rename(*REAL, name="cup")
    assert OPS.save_edits(*REAL) == {"FINISHED"}
    assert '"name": "cup"' in (tmp_path / "in" / "objects.json").read_text()
    assert (tmp_path / "in" / "before-edits" / "objects.json").is_file()


@pytest.mark.parametrize("display", ["POINTS", "MESH"])
def test_the_list_has_what_is_left_after_blenders_own_delete(addon: None, tmp_path: Path, display: str) -> None:
    write_clumps(tmp_path / "in", meshes=True)
    OPS.import_result(*REAL, directory=str(tmp_path / "in"), display=display)
    assert draw("SPLATLIFT_PT_objects").count("300") == 4
    pick_parts(["mug"])
    bpy.ops.ed.undo_push(message="select")
    bpy.ops.object.delete(*REAL)
    assert draw("SPLATLIFT_PT_objects").count("300") == 3
    assert bpy.context.scene.splatlift.row == 0, "it is still the row of the object that is gone"
    assert targets(bpy.context) == []
    assert not OPS.duplicate.poll()
    with pytest.raises(RuntimeError, match="No object is active"):
        OPS.export(*REAL, filepath=str(tmp_path / "mug.ply"), what="OBJECT")
    bpy.ops.ed.undo()
    assert draw("SPLATLIFT_PT_objects").count("300") == 4
    assert targets(bpy.context) == [part("mug")]


def test_the_list_counts_what_is_left_in_edit_mode(scene: Any) -> None:
    pick_parts(["mug"])
    bpy.ops.object.mode_set(mode="EDIT")
    select_in_edit_mode("mug", np.arange(300) < 100)
    bpy.ops.mesh.delete(*REAL, type="VERT")
    assert "200" in draw("SPLATLIFT_PT_objects")
    bpy.ops.object.mode_set(mode="OBJECT")
    assert "200" in draw("SPLATLIFT_PT_objects")
