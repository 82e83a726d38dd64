"""Gaussians that Blender draws by itself.

Blender 5.3 does. 5.2 has all that such a point cloud is made of but the property that says what it is: there the
property is added under the name and with the values that 5.3 has, and what Blender makes of it is not asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.errors import BadSplats
from protocol.ply import read_ply
from protocol.splats import Splats
from tests.blender.example import labelled_splats, object_of, same, some_splats, write_example

bpy = pytest.importorskip("bpy")

from mathutils import Matrix  # noqa: E402

from blender_addon import session  # noqa: E402
from blender_addon.editing.saving import save_edits  # noqa: E402
from blender_addon.editing.selection import write_selection  # noqa: E402
from blender_addon.splats import native, originals  # noqa: E402
from blender_addon.splats.attributes import is_splats, read_splats  # noqa: E402
from blender_addon.splats.collections import drawn_by_blender, linear, show_as, shown_as, splat_objects  # noqa: E402
from blender_addon.splats.export import export_objects  # noqa: E402
from blender_addon.splats.painting import show_colours  # noqa: E402
from tests.blender.addon import registered  # noqa: E402
from tests.blender.clumps import REAL, part, pick, pick_parts, state, undo_and_redo, write_clumps  # noqa: E402
from tests.blender.splats.test_display import one_gaussian, rendered  # noqa: E402

MOVE = Matrix.Translation((3, -2, 1)) @ Matrix.Rotation(0.9, 4, (1, 2, 3)) @ Matrix.Scale(1.5, 4)
BASE = ("radiance:base", "vector", 4)


@pytest.fixture
def drawing() -> Iterator[None]:
    """A Blender that draws Gaussians."""
    if native.can_draw_splats():
        yield
        return
    kinds = {item.identifier for item in bpy.types.Attribute.bl_rna.properties["data_type"].enum_items}
    if "resize" not in bpy.types.PointCloud.bl_rna.functions or "FLOAT4" not in kinds:
        pytest.skip("this Blender has no point clouds that a script can fill with splats")
    items = (("POINTS", "Points", ""), ("GAUSSIAN_SPLAT", "3D Gaussian Splats", ""))
    bpy.types.PointCloud.type = bpy.props.EnumProperty(name="Type", items=items)
    try:
        yield
    finally:
        del bpy.types.PointCloud.type


def column(data, name: str, key: str, width: int) -> np.ndarray:
    attribute = data.attributes[name]
    assert attribute.domain == "POINT"
    values = np.empty(len(attribute.data) * width, np.float32)
    attribute.data.foreach_get(key, values)
    return values.reshape(-1, width)


def test_an_import_as_splats_is_drawn_by_blender_and_exported_again(drawing: None, tmp_path: Path) -> None:
    splats = write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in", "SPLATS")
    things = [child.objects[0] for child in scene.children]
    assert [(thing.type, thing.data.type) for thing in things] == [("POINTCLOUD", "GAUSSIAN_SPLAT")] * 4
    assert not any(len(thing.modifiers) for thing in things)
    things[0].location = (1, 2, 3)
    assert export_objects([scene], tmp_path / "out.ply") == len(splats)
    whole = read_ply(tmp_path / "out.ply")
    moved = object_of(splats, 1)
    np.testing.assert_allclose(whole.means[: len(moved)], moved.means + np.arange(1, 4), atol=1e-5)
    np.testing.assert_array_equal(whole.opacities[: len(moved)], moved.opacities)


def test_colours_of_labels_are_those_of_a_shared_material(drawing: None, tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    scenes = [session.import_folder(tmp_path / "in", "SPLATS") for _ in range(2)]
    clouds = [thing.data for scene in scenes for thing in splat_objects(scene)]
    show_colours("LABELS")
    assert {(each.type, *each.materials.keys()) for each in clouds} == {("GAUSSIAN_SPLAT", "SplatLift Gaussians")}
    assert len(bpy.data.materials) == 1


def test_one_click_shows_them_as_points_and_back(drawing: None, tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in", "SPLATS")
    cloud = scene.children[0].objects[0].data
    assert shown_as(scene) == ("SPLATS", 1.0)
    assert drawn_by_blender(scene)
    show_as(scene, "POINTS")
    assert shown_as(scene) == ("POINTS", 1.0)
    assert (cloud.type, *cloud.materials.keys()) == ("POINTS", "SplatLift Splat")
    assert not drawn_by_blender(scene)
    show_as(scene, "SPLATS")
    assert (cloud.type, *cloud.materials.keys()) == ("GAUSSIAN_SPLAT", "SplatLift Gaussians")


@pytest.mark.parametrize("display", ["SPLATS", "POINTS"])
def test_blender_draws_the_capture_and_the_labels(tmp_path: Path, display: str) -> None:
    """Of a ball of deviation 0.4 and opacity 0.73: its colour and how it fades, in linear light."""
    if not native.can_draw_splats():
        pytest.skip("this Blender draws no Gaussians")
    splats = replace(
        one_gaussian(np.array([0.8, 0.3, 0.2], np.float32)),
        scales=np.full((1, 3), np.log(0.4), np.float32),
        opacities=np.ones(1, np.float32),
    )
    write_example(tmp_path / "in", splats)
    scene = session.import_folder(tmp_path / "in", "SPLATS")
    show_as(scene, display)
    photographed = rendered(tmp_path / "seen.exr", samples=256)
    show_colours("LABELS")
    labelled = rendered(tmp_path / "labels.exr", samples=256)
    np.testing.assert_allclose(photographed[..., 3], labelled[..., 3], atol=0.05)
    centre = photographed[8, 8]
    np.testing.assert_allclose(centre[:3] / centre[3], linear((0.8, 0.3, 0.2))[:3], atol=0.02)
    np.testing.assert_allclose(labelled[8, 8, :3] / centre[3], linear((0.25, 0.5, 0.9))[:3], atol=0.02)
    if display == "SPLATS":
        assert 0.5 < centre[3] < 0.74
        assert 0.05 < photographed[8, 11, 3] < 0.6 * centre[3]


def test_no_blender_is_taken_for_one_that_draws_them_by_its_version() -> None:
    has = "type" in bpy.types.PointCloud.bl_rna.properties
    assert native.can_draw_splats() == has


def test_the_attributes_are_those_that_blender_reads(drawing: None) -> None:
    assert native.can_draw_splats()
    splats = labelled_splats(50, 2)
    data = native.new_native("cloud", splats)
    assert data.type == "GAUSSIAN_SPLAT"
    np.testing.assert_array_equal(column(data, "position", "vector", 3), splats.means)
    np.testing.assert_allclose(column(data, "scale", "vector", 3), np.exp(splats.scales), rtol=1e-6)
    unit = splats.quats / np.linalg.norm(splats.quats, axis=1, keepdims=True)
    np.testing.assert_allclose(column(data, "rotation", "value", 4), unit, atol=1e-6)
    base = column(data, *BASE)
    np.testing.assert_array_equal(base[:, :3], splats.sh[:, 0])
    np.testing.assert_allclose(base[:, 3], 1 / (1 + np.exp(-splats.opacities)), rtol=1e-6)
    for k in range(8):
        np.testing.assert_array_equal(column(data, f"radiance:sh_{k}", "vector", 3), splats.sh[:, k + 1])
    assert "radiance:sh_8" not in data.attributes
    assert data.attributes["label"].data_type == "INT"


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_what_comes_back_is_the_same_bit_for_bit(drawing: None, degree: int) -> None:
    splats = labelled_splats(400, degree)
    data = native.new_native("cloud", splats)
    assert is_splats(data)
    assert same(read_splats(data), splats)


@pytest.mark.parametrize("degree", [0, 3])
def test_without_the_originals_what_comes_back_is_the_same_to_float32(drawing: None, degree: int) -> None:
    """As it is of a cloud that Blender's own importer made."""
    splats = labelled_splats(400, degree)
    data = native.new_native("cloud", splats)
    for name in originals.KINDS:
        data.attributes.remove(data.attributes[name])
    got = read_splats(data)
    np.testing.assert_array_equal(got.means, splats.means)
    np.testing.assert_array_equal(got.sh, splats.sh)
    np.testing.assert_allclose(got.scales, splats.scales, atol=1e-6)
    np.testing.assert_allclose(got.opacities, splats.opacities, atol=1e-5)
    unit = splats.quats / np.linalg.norm(splats.quats, axis=1, keepdims=True)
    np.testing.assert_allclose(got.quats, unit, atol=1e-6)
    assert got.extra.keys() == splats.extra.keys()
    np.testing.assert_array_equal(got.extra["label"], splats.extra["label"])


def test_what_was_edited_comes_back_edited_and_the_rest_as_it_was(drawing: None) -> None:
    splats = labelled_splats(40, 1)
    data = native.new_native("cloud", splats)
    sizes, turns, base = (column(data, *each) for each in (("scale", "vector", 3), ("rotation", "value", 4), BASE))
    sizes[:10, 1] *= 2
    turns[5:15] = [0, 1, 0, 0]
    base[20:30, 3] = 0.25
    base[0, 0] = 3
    for name, key, values in (
        ("scale", "vector", sizes),
        ("rotation", "value", turns),
        ("radiance:base", "vector", base),
    ):
        data.attributes[name].data.foreach_set(key, values.ravel())
    got = read_splats(data)
    scales, quats, opacities, sh = (getattr(splats, name).copy() for name in ("scales", "quats", "opacities", "sh"))
    scales[:10, 1] += np.log(2, dtype=np.float32)
    quats[5:15] = [0, 1, 0, 0]
    opacities[20:30] = -np.log(3)
    sh[0, 0, 0] = 3
    np.testing.assert_allclose(got.scales, scales, atol=1e-6)
    np.testing.assert_allclose(got.opacities, opacities, atol=1e-6)
    np.testing.assert_array_equal(got.scales[10:], scales[10:])
    np.testing.assert_array_equal(got.scales[:, 2], scales[:, 2])
    np.testing.assert_array_equal(got.opacities[:20], opacities[:20])
    np.testing.assert_array_equal(got.quats, quats)
    np.testing.assert_array_equal(got.sh, sh)


def test_gaussians_that_blender_joins_from_elsewhere_are_what_they_were(drawing: None) -> None:
    """Join gives zeros where one side has no such attribute: logs of 1, logits of a half, and no rotation."""
    ours, theirs = labelled_splats(5, 1), labelled_splats(6, 1)
    theirs = replace(
        theirs.without_columns(),
        quats=np.tile(np.array([1, 0, 0, 0], np.float32), (6, 1)),
        scales=np.zeros((6, 3), np.float32),
        opacities=np.zeros(6, np.float32),
    )
    things = []
    for splats in (ours, theirs):
        things.append(bpy.data.objects.new("cloud", native.new_native("cloud", splats)))
        bpy.context.scene.collection.objects.link(things[-1])
    for name in (*originals.KINDS, "splatlift_place"):
        things[1].data.attributes.remove(things[1].data.attributes[name])
    for thing in things:
        thing.select_set(True)
    bpy.context.view_layer.objects.active = things[0]
    assert bpy.ops.object.join() == {"FINISHED"}
    whole = read_splats(things[0].data)
    assert same(whole.pick(np.arange(5)), ours)
    assert same(whole.pick(np.arange(5, 11)).without_columns(), theirs)


def imported_clumps(folder: Path) -> tuple[Any, Any]:
    """A scene of Blender's own Gaussians, and the object that holds those of the mug."""
    write_clumps(folder)
    return session.import_folder(folder, "SPLATS"), part("mug").objects[0]


@pytest.fixture
def native_blender() -> Iterator[None]:
    """The add-on in a Blender whose own tools know such point clouds."""
    if not native.can_draw_splats():
        pytest.skip("this Blender draws no Gaussians")
    with registered():
        yield
        if bpy.context.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")


def rotations(thing: Any) -> np.ndarray:
    return column(thing.data, "rotation", "value", 4)


def assert_turned_to(expected: Splats) -> None:
    turns = expected.quats / np.linalg.norm(expected.quats, axis=1, keepdims=True)
    cosines = np.abs((rotations(part("mug").objects[0]) * turns).sum(1))
    np.testing.assert_allclose(cosines, 1, atol=1e-5)


def by_opacity(splats: Splats) -> Splats:
    return splats.pick(np.argsort(splats.opacities))


def test_an_applied_move_turns_what_blender_draws_and_undo_turns_it_back(native_blender: None, tmp_path: Path) -> None:
    _, thing = imported_clumps(tmp_path / "in")
    before = rotations(thing)
    bpy.context.view_layer.update()
    thing.matrix_world = MOVE @ thing.matrix_world
    export_objects([part("mug")], tmp_path / "moved.ply")
    pick_parts(["mug"])
    bpy.ops.ed.undo_push(message="moved")
    bpy.ops.object.transform_apply(*REAL, location=True, rotation=True, scale=True)
    bpy.context.view_layer.update()
    moved = read_ply(tmp_path / "moved.ply")
    assert_turned_to(moved)
    export_objects([part("mug")], tmp_path / "applied.ply")
    applied = read_ply(tmp_path / "applied.ply")
    np.testing.assert_allclose(applied.sh, moved.sh, atol=2e-5)
    np.testing.assert_allclose(applied.scales, moved.scales, atol=2e-5)
    bpy.ops.ed.undo()
    bpy.context.view_layer.update()
    np.testing.assert_array_equal(rotations(part("mug").objects[0]), before)
    bpy.ops.ed.redo()
    bpy.context.view_layer.update()
    assert_turned_to(moved)


def test_an_uneven_scale_that_was_applied_leaves_the_rotations(native_blender: None, tmp_path: Path) -> None:
    scene, thing = imported_clumps(tmp_path / "in")
    before = rotations(thing)
    thing.scale = (1, 2, 1)
    pick_parts(["mug"])
    bpy.ops.object.transform_apply(location=False, rotation=False, scale=True)
    bpy.context.view_layer.update()
    np.testing.assert_array_equal(rotations(thing), before)
    with pytest.raises(BadSplats, match=r"'mug' cannot be exported: .*non-uniform scale"):
        export_objects([scene], tmp_path / "out.ply")


def test_what_is_turned_in_edit_mode_turns_on_leaving_it(native_blender: None, tmp_path: Path) -> None:
    _, thing = imported_clumps(tmp_path / "in")
    before = rotations(thing)
    pick("mug", np.arange(300) < 150)
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.transform.rotate(value=0.8, orient_axis="Z")
    bpy.context.view_layer.update()
    np.testing.assert_array_equal(rotations(thing), before)
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.context.view_layer.update()
    cosines = (rotations(thing) * before).sum(1)
    np.testing.assert_allclose(2 * np.arccos(np.abs(cosines[:150]).clip(0, 1)) % np.pi, 0.8, atol=1e-3)
    np.testing.assert_array_equal(rotations(thing)[150:], before[150:])


def test_blenders_separate_keeps_every_gaussian(native_blender: None, tmp_path: Path) -> None:
    scene, _ = imported_clumps(tmp_path / "in")
    export_objects([part("mug")], tmp_path / "before.ply")
    pick("mug", np.arange(300) < 100)
    bpy.ops.object.mode_set(mode="EDIT")
    assert bpy.ops.pointcloud.separate() == {"FINISHED"}
    bpy.ops.object.mode_set(mode="OBJECT")
    assert sorted(len(thing.data.points) for thing in part("mug").objects) == [100, 200]
    export_objects([part("mug")], tmp_path / "after.ply")
    before, after = read_ply(tmp_path / "before.ply"), read_ply(tmp_path / "after.ply")
    assert same(by_opacity(after), by_opacity(before))
    save_edits(scene)
    assert same(by_opacity(read_ply(tmp_path / "in" / "objects" / "0001.ply")), by_opacity(before))


def test_edits_in_edit_mode_are_undone_and_redone(native_blender: None, tmp_path: Path) -> None:
    ops = bpy.ops.splatlift
    imported_clumps(tmp_path / "in")
    pick_parts(["mug", "plant"])
    bpy.ops.object.mode_set(mode="EDIT")
    to = part("lamp").splatlift.object_id
    edits = [
        lambda: ops.grow_selection(*REAL),
        lambda: ops.shrink_selection(*REAL),
        lambda: ops.select_similar(*REAL, threshold=0.9),
        lambda: ops.assign(*REAL, object_id=to),
        lambda: ops.assign_to_background(*REAL),
        lambda: ops.delete_selection(*REAL),
        lambda: ops.split_selection(*REAL),
    ]
    bpy.ops.ed.undo_push(message="start")
    history = [state()]
    for turn, edit in enumerate(edits):
        for name in ("mug", "plant"):
            thing = part(name).objects[0]
            write_selection(thing.data, np.arange(len(thing.data.points)) % 11 == turn)
        bpy.ops.ed.undo_push(message="select")
        history.append(state())
        assert bpy.context.mode == "EDIT_POINTCLOUD"
        assert edit() == {"FINISHED"}
        history.append(state())
    assert bpy.context.mode == "OBJECT"
    assert len({repr(each) for each in history}) == len(history)
    undo_and_redo(history)


def test_opaque_clear_and_flat_gaussians_stay_finite(drawing: None) -> None:
    splats = replace(
        some_splats(3, 0), opacities=np.array([200, -200, 0], np.float32), scales=np.full((3, 3), -200, np.float32)
    )
    got = read_splats(native.new_native("cloud", splats))
    np.testing.assert_allclose(got.alphas, [1, 0, 0.5], atol=1e-6)
    assert np.isfinite(got.scales).all()
    assert (got.sizes < 1e-37).all()


def test_columns_that_blender_needs_itself_are_refused(drawing: None) -> None:
    with pytest.raises(BadSplats, match="extra column 'scale'"):
        native.new_native("cloud", some_splats(3, 0).with_columns(scale=np.zeros(3, np.float32)))


def test_half_a_degree_is_refused(drawing: None) -> None:
    data = native.new_native("cloud", some_splats(3, 1))
    data.attributes.remove(data.attributes["radiance:sh_2"])
    with pytest.raises(BadSplats, match="2 attributes radiance:sh_; expected 0, 3, 8 or 15"):
        read_splats(data)


def test_a_cloud_without_a_point_comes_back_empty(drawing: None) -> None:
    data = native.new_native("cloud", some_splats(0, 1))
    assert len(read_splats(data)) == 0
