"""Edits of objects as wholes, and of their Gaussians: what they leave behind, in points and in meshes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from mathutils import Euler, Matrix  # noqa: E402

from blender_addon import session  # noqa: E402
from blender_addon.editing.assign import assign, assign_to_background  # noqa: E402
from blender_addon.editing.duplicate import duplicate  # noqa: E402
from blender_addon.editing.isolate import is_isolating, isolate, show_others  # noqa: E402
from blender_addon.editing.merge import merge  # noqa: E402
from blender_addon.editing.naming import recolour, rename  # noqa: E402
from blender_addon.editing.parts import pieces_of  # noqa: E402
from blender_addon.editing.remove import delete, delete_selection  # noqa: E402
from blender_addon.editing.selection import read_selection, write_selection  # noqa: E402
from blender_addon.editing.split import split_pieces, split_selection  # noqa: E402
from blender_addon.splats.attributes import read_splats  # noqa: E402
from blender_addon.splats.collections import linear  # noqa: E402
from blender_addon.splats.columns import count_of, read_positions  # noqa: E402
from blender_addon.splats.export import export_objects, world_matrix  # noqa: E402
from protocol.errors import BadArgument, BadSplats  # noqa: E402
from protocol.ply import read_ply  # noqa: E402
from protocol.splats import Splats  # noqa: E402
from protocol.splats import merge as merge_splats  # noqa: E402
from protocol.transform import transform  # noqa: E402
from tests.blender.editing import clumps, part, write_clumps  # noqa: E402
from tests.blender.example import same  # noqa: E402

pytestmark = pytest.mark.usefixtures("every_form")


@pytest.fixture(params=["POINTS", "MESH"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    write_clumps(tmp_path / "in", meshes=True)
    return session.import_folder(tmp_path / "in", request.param)


@pytest.fixture
def points(tmp_path: Path) -> Any:
    write_clumps(tmp_path / "in")
    return session.import_folder(tmp_path / "in")


def held(name: str) -> Splats:
    """The Gaussians of a part as its first piece has them, in order of their rows."""
    splats = read_splats(pieces_of(part(name))[0].thing.data)
    return splats.pick(np.argsort(splats.extra["splat_row"], kind="stable"))


def select(name: str, rows: np.ndarray) -> None:
    write_selection(pieces_of(part(name))[0].thing.data, rows)


def right_half(name: str) -> np.ndarray:
    """Select what is seen of a part right of its middle; return which Gaussians lie there, but for a margin."""
    (piece,) = pieces_of(part(name))
    middle = 10.0 if name == "plant" else 0.0
    write_selection(piece.seen.data, read_positions(piece.seen.data)[:, 0] > middle)
    return read_positions(piece.thing.data)[:, 0] - middle


def labels_are_right(scene: Any) -> bool:
    parts = [*session.objects_of(scene), session.background_of(scene)]
    counts = [len(read_splats(piece.thing.data)) for each in parts for piece in pieces_of(each)]
    return sum(counts) == sum(each.splatlift.count for each in parts) and all(
        (read_splats(piece.thing.data).extra["label"] == each.splatlift.label).all()
        for each in parts
        for piece in pieces_of(each)
    )


def test_rename_one_and_several(scene: Any) -> None:
    rename([part("mug")], " cup ")
    assert part("cup").splatlift.label_name == pieces_of(part("cup"))[0].seen.name == "cup"
    rename([part("cup"), part("lamp")], "Thing")
    assert [each.name for each in scene.children] == ["Thing 1", "plant", "Thing 2", "background"]
    for name in ("", "  ", "x" * 64):
        with pytest.raises(BadArgument, match="not a valid object name"):
            rename([part("plant")], name)
    assert part("plant")


def test_recolour_changes_what_is_seen_and_what_is_kept(scene: Any) -> None:
    recolour([part("mug"), part("plant")], (0.5, 0.25, 1.0))
    for name in ("mug", "plant"):
        assert tuple(part(name).splatlift.colour) == (0.5, 0.25, 1.0)
        assert part(name).color_tag == "COLOR_06"
        assert tuple(pieces_of(part(name))[0].seen.color) == pytest.approx(linear((0.5, 0.25, 1.0)))
    assert tuple(part("lamp").splatlift.colour) != (0.5, 0.25, 1.0)
    with pytest.raises(BadArgument, match="not a valid colour"):
        recolour([part("mug")], (1.0, 2.0, 0.0))


def test_merge_keeps_every_gaussian_bit_for_bit(scene: Any) -> None:
    before = merge_splats([held("mug"), held("lamp")])
    assert merge([part("mug"), part("lamp")], part("lamp")) == part("lamp")
    assert "mug" not in bpy.data.collections
    assert part("lamp").splatlift.count == 600
    assert labels_are_right(scene)
    order = np.argsort(before.extra["splat_row"])
    assert same(held("lamp"), before.pick(order).with_columns(label=np.full(600, 3, np.int32)))


def test_merge_into_the_largest_unless_told_otherwise(points: Any) -> None:
    select("lamp", np.arange(300) < 100)
    delete_selection([part("lamp")])
    assert merge([part("lamp"), part("mug"), part("background")]).name == "mug"
    assert [each.name for each in points.children] == ["mug", "plant"]


def test_a_moved_object_stays_in_its_place_when_it_is_merged(scene: Any, tmp_path: Path) -> None:
    for name, turn in (("mug", (0.1, 0.2, 0.3)), ("plant", (1.0, -0.5, 0.2))):
        thing = pieces_of(part(name))[0].seen
        thing.matrix_basis = Matrix.LocRotScale((1, 2, 3), Euler(turn), (1.5, 1.5, 1.5))
    export_objects([part("mug"), part("plant")], tmp_path / "before.ply")
    merge([part("mug"), part("plant")], part("mug"))
    export_objects([part("mug")], tmp_path / "after.ply")
    one, other = read_ply(tmp_path / "before.ply"), read_ply(tmp_path / "after.ply")
    order, other_order = (np.argsort(splats.opacities) for splats in (one, other))
    for name in ("means", "scales", "sh", "opacities"):
        np.testing.assert_allclose(getattr(one, name)[order], getattr(other, name)[other_order], atol=2e-5)


def test_what_cannot_be_merged_changes_nothing(points: Any) -> None:
    pieces_of(part("plant"))[0].thing.scale = (1, 2, 1)
    before = held("mug")
    with pytest.raises(BadSplats, match=r"'plant' cannot be joined: .*non-uniform"):
        merge([part("mug"), part("plant")], part("mug"))
    assert same(held("mug"), before)
    with pytest.raises(BadArgument, match="At least two objects"):
        merge([part("mug"), part("mug")])
    with pytest.raises(BadArgument, match="No object is selected"):
        merge([])


def test_objects_of_different_scenes_are_not_mixed(points: Any) -> None:
    session.import_folder(Path(points.splatlift.source))
    with pytest.raises(BadArgument, match="different imported scenes"):
        merge([part("mug"), part("mug.001")])
    with pytest.raises(BadArgument, match="not an object of an imported scene"):
        delete([points])


def test_split_off_what_is_selected_in_several_objects(scene: Any) -> None:
    aside = {name: right_half(name) for name in ("mug", "plant")}
    before = {name: held(name) for name in aside}
    made = split_selection([part(name) for name in ("mug", "plant", "lamp")])
    assert [each.name for each in made] == ["mug.001", "plant.001"]
    assert [each.splatlift.label for each in made] == [4, 5]
    assert len({each.splatlift.object_id for each in scene.children}) == 6
    assert labels_are_right(scene)
    for name, new in zip(aside, made, strict=True):
        left, right = held(name), held(new.name)
        middle = 10.0 if name == "plant" else 0.0
        assert (left.means[:, 0] < middle + 0.5).all()
        assert (right.means[:, 0] > middle - 0.5).all()
        both = merge_splats([left, right])
        both = both.pick(np.argsort(both.extra["splat_row"]))
        assert same(both.with_columns(label=before[name].extra["label"]), before[name])
        surface = pieces_of(new)[0].surface
        assert surface is None or (read_positions(surface.data)[:, 0] > middle - 0.5).all()


def test_a_split_object_looks_and_lies_as_the_first_does(scene: Any) -> None:
    thing = pieces_of(part("mug"))[0].seen
    thing.location = (1, 2, 3)
    right_half("mug")
    (new,) = split_selection([part("mug")])
    other = pieces_of(new)[0].seen
    np.testing.assert_array_equal(np.array(world_matrix(other)), np.array(world_matrix(thing)))
    assert [each.node_group for each in other.modifiers] == [each.node_group for each in thing.modifiers]
    assert not other.hide_viewport
    assert new.splatlift.colour != part("mug").splatlift.colour


def test_nothing_and_everything_are_no_parts(points: Any) -> None:
    with pytest.raises(BadArgument, match="No Gaussians are selected"):
        split_selection([part("mug")])
    select("mug", np.ones(300, bool))
    with pytest.raises(BadArgument, match="The whole object is selected"):
        split_selection([part("mug")])
    with pytest.raises(BadArgument, match="No Gaussians are selected"):
        delete_selection([part("plant")])


def test_split_into_pieces_that_stand_apart(points: Any) -> None:
    merge([part("mug"), part("plant"), part("lamp")], part("mug"))
    made = split_pieces([part("mug"), part("background")], gap=2.0)
    assert len(made) == 2
    assert labels_are_right(points)
    whole = clumps()
    places = {tuple(np.round(held(each.name).means.mean(0)).astype(int)) for each in (part("mug"), *made)}
    assert places == {(0, 0, 0), (10, 0, 0), (0, 10, 0)}
    assert {len(held(each.name)) for each in made} == {300}
    assert len(whole) == 1200
    with pytest.raises(BadArgument, match="no separate pieces"):
        split_pieces([part("mug")], gap=2.0)


def test_assign_to_another_object(scene: Any) -> None:
    for name in ("mug", "plant"):
        right_half(name)
    moved = assign([part("mug"), part("plant")], part("lamp"))
    assert 200 < moved < 400
    assert part("lamp").splatlift.count == 300 + moved
    assert labels_are_right(scene)
    assert (held("mug").means[:, 0] < 0.5).all()
    with pytest.raises(BadArgument, match="already belong to lamp"):
        assign([part("lamp")], part("lamp"))


def test_an_object_that_was_assigned_whole_is_gone(points: Any) -> None:
    before = held("mug")
    select("mug", np.ones(300, bool))
    bpy.data.objects["mug"].location = (1, 0, 0)
    extra = bpy.data.objects.new("light", None)
    part("mug").objects.link(extra)
    assert assign([part("mug")], part("plant")) == 300
    assert "mug" not in bpy.data.collections
    assert list(extra.users_collection) == [part("plant")]
    moved = held("plant").pick(held("plant").means[:, 0] < 5)
    wanted = transform(before, np.array(Matrix.Translation((1, 0, 0))))
    np.testing.assert_allclose(moved.means, wanted.means, atol=1e-5)


def test_assign_to_a_background_that_was_not_there(tmp_path: Path) -> None:
    write_clumps(tmp_path / "in", clumps(background=False))
    scene = session.import_folder(tmp_path / "in")
    assert session.background_of(scene) is None
    with pytest.raises(BadArgument, match="No Gaussians are selected"):
        assign_to_background([part("mug")])
    assert session.background_of(scene) is None
    select("mug", np.arange(300) < 120)
    select("plant", np.arange(300) < 30)
    assert assign_to_background([part("mug"), part("plant")]) == 150
    background = session.background_of(scene)
    assert (background.splatlift.label, background.splatlift.count) == (0, 150)
    assert labels_are_right(scene)


def test_delete_selected_gaussians(scene: Any) -> None:
    aside = right_half("mug")
    count = delete_selection([part("mug"), part("lamp")])
    assert 100 < count < 200
    assert part("mug").splatlift.count == 300 - count
    assert (held("mug").means[:, 0] < 0.5).all()
    assert (aside > 0.5).any()
    for piece in pieces_of(part("mug")):
        assert (read_positions(piece.seen.data)[:, 0] < 0.5).all()


def test_delete_leaves_nothing_of_the_object(scene: Any) -> None:
    things, meshes = len(bpy.data.objects), len(bpy.data.meshes)
    own = sum(2 if piece.surface else 1 for piece in pieces_of(part("mug")))
    delete([part("mug")])
    assert "mug" not in bpy.data.collections
    assert (len(bpy.data.objects), len(bpy.data.meshes)) == (things - own, meshes - own)


def test_duplicates_are_objects_of_their_own(scene: Any) -> None:
    pieces_of(part("mug"))[0].seen.location = (1, 2, 3)
    made = duplicate([part("mug"), part("background")])
    assert [(each.name, each.splatlift.kind, each.splatlift.label) for each in made] == [
        ("mug.001", "OBJECT", 4),
        ("background.001", "OBJECT", 5),
    ]
    (one,), (other,) = pieces_of(part("mug")), pieces_of(made[0])
    assert other.thing.data != one.thing.data
    np.testing.assert_array_equal(np.array(world_matrix(one.seen)), np.array(world_matrix(other.seen)))
    assert labels_are_right(scene)
    if one.surface is not None:
        assert other.thing.parent == other.surface != one.surface
        assert other.thing.hide_viewport
    delete([part("mug")])
    assert len(held("mug.001")) == 300


def test_blenders_own_duplicate_of_a_mesh_is_exported_too(tmp_path: Path) -> None:
    write_clumps(tmp_path / "in", meshes=True)
    session.import_folder(tmp_path / "in", "MESH")
    (piece,) = pieces_of(part("mug"))
    bpy.context.view_layer.update()
    piece.surface.select_set(True)
    bpy.context.view_layer.objects.active = piece.surface
    bpy.ops.object.duplicate_move(TRANSFORM_OT_translate={"value": (0, 0, 7)})
    assert len(part("mug").objects) == 3
    assert export_objects([part("mug")], tmp_path / "two.ply") == 600
    both = read_ply(tmp_path / "two.ply")
    assert len(pieces_of(part("mug"))) == 2
    assert len(np.unique(both.means.round(4), axis=0)) == 600
    # The first goes, and its copy is still whole.
    bpy.ops.object.select_all(action="DESELECT")
    piece.surface.select_set(True)
    bpy.ops.object.delete()
    assert export_objects([part("mug")], tmp_path / "one.ply") == 300


def test_isolate_and_back(scene: Any) -> None:
    part("lamp").hide_viewport = True
    isolate([part("mug"), part("plant")])
    assert is_isolating(scene)
    assert [each.name for each in scene.children if not each.hide_viewport] == ["mug", "plant"]
    isolate([part("lamp")])
    assert [each.name for each in scene.children if not each.hide_viewport] == ["lamp"]
    show_others(scene)
    assert not is_isolating(scene)
    assert [each.name for each in scene.children if each.hide_viewport] == ["lamp"]


def test_an_edit_of_a_linked_copy_leaves_the_other_alone(points: Any) -> None:
    one = pieces_of(part("mug"))[0].thing
    other = one.copy()
    part("plant").objects.link(other)
    assert other.data == one.data
    select("mug", np.arange(300) < 100)
    delete_selection([part("mug")])
    assert count_of(one.data) == 200
    assert count_of(other.data) == 300


def test_attributes_that_a_person_added_go_along(points: Any) -> None:
    data = pieces_of(part("mug"))[0].thing.data
    data.attributes.new("mine", "FLOAT_VECTOR", "POINT")
    data.attributes["mine"].data.foreach_set("vector", np.arange(900, dtype=np.float32))
    select("mug", np.arange(300) >= 100)
    (new,) = split_selection([part("mug")])
    kept = np.empty(600, np.float32)
    pieces_of(new)[0].thing.data.attributes["mine"].data.foreach_get("vector", kept)
    np.testing.assert_array_equal(kept, np.arange(300, 900))
    merge([part("plant"), new], part("plant"))
    after = np.empty(1500, np.float32)
    pieces_of(part("plant"))[0].thing.data.attributes["mine"].data.foreach_get("vector", after)
    np.testing.assert_array_equal(after, [*np.zeros(900), *kept])


def test_edits_are_saved_with_the_file(points: Any, tmp_path: Path) -> None:
    select("mug", np.arange(300) < 100)
    split_selection([part("mug")])
    rename([part("mug.001")], "handle")
    recolour([part("handle")], (0.125, 0.25, 0.5))
    pieces_of(part("handle"))[0].thing.location = (1, 2, 3)
    before = held("handle")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    (scene,) = session.scenes()
    assert same(held("handle"), before)
    assert part("handle").splatlift.label == 4
    assert tuple(part("handle").splatlift.colour) == (0.125, 0.25, 0.5)
    assert tuple(pieces_of(part("handle"))[0].thing.location) == (1, 2, 3)
    assert labels_are_right(scene)


def test_the_selection_is_kept_where_nothing_was_edited(points: Any) -> None:
    rows = np.arange(300) % 3 == 0
    select("plant", rows)
    select("mug", np.arange(300) < 100)
    split_selection([part("mug")])
    data = pieces_of(part("plant"))[0].thing.data
    np.testing.assert_array_equal(read_selection(data), rows)
    assert not read_selection(pieces_of(part("mug"))[0].thing.data).any()
