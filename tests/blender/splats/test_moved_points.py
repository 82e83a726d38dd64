"""Points that Blender moves in their data, by Apply, Join or in Edit Mode: the Gaussians follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from mathutils import Matrix  # noqa: E402

from blender_addon import session  # noqa: E402
from blender_addon.editing.saving import save_edits  # noqa: E402
from blender_addon.editing.split import split_selection  # noqa: E402
from blender_addon.splats.columns import read_positions, write_positions  # noqa: E402
from blender_addon.splats.export import export_objects  # noqa: E402
from blender_addon.splats.moved_points import find_move, has_moved  # noqa: E402
from protocol.errors import BadSplats  # noqa: E402
from protocol.ply import read_ply  # noqa: E402
from protocol.splats import Splats  # noqa: E402
from protocol.transform import decompose  # noqa: E402
from tests.blender.clumps import part, pick, pick_parts, write_clumps  # noqa: E402
from tests.blender.example import same  # noqa: E402

pytestmark = pytest.mark.usefixtures("every_form")

MOVE = Matrix.Translation((3, -2, 1)) @ Matrix.Rotation(0.9, 4, (1, 2, 3)) @ Matrix.Scale(1.5, 4)
OTHER = Matrix.Rotation(-2.1, 4, (0, 1, 0.4)) @ Matrix.Scale(0.7, 4)


def as_array(matrix: Matrix) -> np.ndarray:
    return np.array(matrix, np.float64)


def taken(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return (points @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)


def points(n: int = 200, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)


def imported(folder: Path) -> Any:
    write_clumps(folder)
    return session.import_folder(folder)


def move(name: str, matrix: Matrix) -> None:
    bpy.context.view_layer.update()
    for thing in part(name).objects:
        thing.matrix_world = matrix @ thing.matrix_world


def exported(scene: Any, folder: Path) -> Splats:
    export_objects([scene], folder / "out.ply")
    return read_ply(folder / "out.ply")


def assert_alike(one: Splats, other: Splats) -> None:
    """The same Gaussians in any order, to the precision that a few float32 matrices leave."""
    assert len(one) == len(other)
    first, second = np.argsort(one.opacities), np.argsort(other.opacities)
    np.testing.assert_array_equal(one.opacities[first], other.opacities[second])
    np.testing.assert_allclose(one.means[first], other.means[second], atol=2e-5)
    np.testing.assert_allclose(one.scales[first], other.scales[second], atol=2e-5)
    np.testing.assert_allclose(one.sh[first], other.sh[second], atol=2e-5)
    units = [each.quats / np.linalg.norm(each.quats, axis=1, keepdims=True) for each in (one, other)]
    cosines = np.abs((units[0][first] * units[1][second]).sum(1))
    np.testing.assert_allclose(cosines, 1, atol=1e-5)


def test_the_move_is_found() -> None:
    before = points()
    for matrix in (MOVE, OTHER, Matrix.Translation((1, 2, 3))):
        found = find_move(before, taken(before, as_array(matrix)))
        assert found is not None
        np.testing.assert_allclose(found, as_array(matrix), atol=1e-6)
    flat = before * np.array([1, 1, 0], np.float32)
    found = find_move(flat, taken(flat, as_array(MOVE)))
    assert found is not None
    np.testing.assert_allclose(found, as_array(MOVE), atol=1e-6)


@pytest.mark.parametrize("scales", [(1, 2, 1), (-1, 1, 1)])
def test_a_move_that_gaussians_cannot_follow_is_found_too(scales: tuple[float, ...]) -> None:
    before = points()
    found = find_move(before, taken(before, np.diag([*scales, 1.0])))
    assert found is not None
    with pytest.raises(BadSplats):
        decompose(found)


def test_where_no_single_move_is_there_is_none() -> None:
    before = points()
    half = np.arange(200) < 100
    twice = np.where(half[:, None], taken(before, as_array(MOVE)), taken(before, as_array(OTHER)))
    assert find_move(before, twice) is None
    assert find_move(before, before + points(seed=1)) is None
    line = before * np.array([1, 0, 0], np.float32)
    assert find_move(line, taken(line, as_array(MOVE))) is None, "it may have been turned about itself"
    assert find_move(before[:1], before[:1] + 1) is None
    far = before * np.float32(1e-4) + np.float32(1000)
    assert find_move(far, far[::-1]) is None, "float32 does not tell"


def test_an_applied_move_is_exported_as_the_move_itself(tmp_path: Path) -> None:
    scene = imported(tmp_path / "in")
    move("mug", MOVE)
    move("lamp", OTHER)
    expected = exported(scene, tmp_path)
    pick_parts(["mug", "lamp"])
    bpy.ops.object.transform_apply(location=True, rotation=True, scale=True)
    assert_alike(exported(scene, tmp_path), expected)
    move("mug", OTHER)
    expected = exported(scene, tmp_path)
    pick_parts(["mug"])
    bpy.ops.object.transform_apply(location=True, rotation=True, scale=True)
    assert_alike(exported(scene, tmp_path), expected)


def joined(folder: Path) -> tuple[Any, Splats]:
    """A scene, two of its objects moved and joined to a third by Blender, and what it exported before it was joined."""
    scene = imported(folder / "in")
    move("mug", MOVE)
    move("lamp", OTHER)
    before = exported(scene, folder)
    pick_parts(["plant", "mug", "lamp"])
    bpy.ops.object.join()
    return scene, before


def test_objects_that_blender_joins_are_exported_as_they_lay(tmp_path: Path) -> None:
    scene, expected = joined(tmp_path)
    assert_alike(exported(scene, tmp_path), expected)


def test_an_edit_of_what_blender_joined_catches_up(tmp_path: Path) -> None:
    scene, expected = joined(tmp_path)
    pick("plant", np.arange(900) % 3 == 0)
    (split,) = split_selection([part("plant")])
    for each in (part("plant"), split):
        assert not has_moved(each.objects[0].data)
    assert_alike(exported(scene, tmp_path), expected)


def test_what_is_turned_in_edit_mode_is_turned_as_gaussians(tmp_path: Path) -> None:
    scene = imported(tmp_path / "in")
    before = exported(scene, tmp_path)
    half = np.arange(300) < 150
    pick("mug", half)
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.transform.rotate(value=0.8, orient_axis="Z")
    out = exported(scene, tmp_path)
    bpy.ops.object.mode_set(mode="OBJECT")
    turned = (before.means != out.means).any(1)
    assert turned.sum() == 150
    cosines = (
        (before.quats * out.quats).sum(1) / np.linalg.norm(before.quats, axis=1) / np.linalg.norm(out.quats, axis=1)
    )
    np.testing.assert_allclose(2 * np.arccos(np.abs(cosines[turned]).clip(0, 1)) % np.pi, 0.8, atol=1e-3)
    assert same(before.pick(~turned), out.pick(~turned))


def test_points_that_were_pushed_about_keep_their_turn(tmp_path: Path) -> None:
    scene = imported(tmp_path / "in")
    before = exported(scene, tmp_path)
    (thing,) = part("mug").objects
    pushed = read_positions(thing.data)
    pushed[:, 0] += 0.1 * (np.arange(len(pushed)) % 7)
    write_positions(thing.data, pushed)
    out = exported(scene, tmp_path)
    assert (before.means != out.means).any()
    np.testing.assert_array_equal(out.quats, before.quats)
    np.testing.assert_array_equal(out.sh, before.sh)


def test_an_uneven_scale_is_refused_when_it_was_applied_as_well(tmp_path: Path) -> None:
    scene = imported(tmp_path / "in")
    part("mug").objects[0].scale = (1, 2, 1)
    pick_parts(["mug"])
    bpy.ops.object.transform_apply(location=False, rotation=False, scale=True)
    with pytest.raises(BadSplats, match=r"'mug' cannot be exported: .*non-uniform"):
        exported(scene, tmp_path)
    with pytest.raises(BadSplats, match=r"'mug' cannot be saved: .*non-uniform"):
        save_edits(scene)


def test_an_applied_move_is_saved_and_comes_back(tmp_path: Path) -> None:
    scene = imported(tmp_path / "in")
    move("mug", MOVE)
    expected = exported(scene, tmp_path)
    pick_parts(["mug"])
    bpy.ops.object.transform_apply(location=True, rotation=True, scale=True)
    save_edits(scene)
    bpy.ops.wm.read_homefile(use_empty=True)
    assert_alike(exported(session.import_folder(tmp_path / "in"), tmp_path), expected)
