"""Objects turn about their base or centre, and their Gaussians stay those of the capture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from mathutils import Matrix  # noqa: E402

from blender_addon import session  # noqa: E402
from blender_addon.editing.merge import merge  # noqa: E402
from blender_addon.editing.parts import pieces_of  # noqa: E402
from blender_addon.editing.saving import save_edits  # noqa: E402
from blender_addon.splats.attributes import read_splats  # noqa: E402
from blender_addon.splats.columns import read_positions  # noqa: E402
from blender_addon.splats.export import export_objects, world_matrix  # noqa: E402
from blender_addon.splats.origins import origin_of  # noqa: E402
from protocol.errors import BadArgument  # noqa: E402
from protocol.ply import read_ply  # noqa: E402
from protocol.result.table import read_table  # noqa: E402
from protocol.splats import Splats  # noqa: E402
from tests.blender.addon import registered  # noqa: E402
from tests.blender.clumps import CLUMPS, part, write_clumps, write_parted  # noqa: E402

NAMES = [name for name, _ in CLUMPS.values()]
RADIUS = 1.0
"""Of a clump. A few of its Gaussians do not count for its extent."""


def places(name: str, seen: bool = False) -> np.ndarray:
    """Where the points of an object are in Blender's world, (N, 3): of its Gaussians, or of what is seen."""
    bpy.context.view_layer.update()
    found = []
    for piece in pieces_of(part(name)):
        thing = piece.seen if seen else piece.thing
        matrix = np.array(world_matrix(thing))
        found.append(read_positions(thing.data) @ matrix[:3, :3].T + matrix[:3, 3])
    return np.concatenate(found)


def same_but_for_rounding(a: Splats, b: Splats) -> None:
    for name in ("quats", "scales", "opacities", "sh"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    np.testing.assert_allclose(a.means, b.means, rtol=0, atol=1e-6)


@pytest.mark.parametrize("display", ["POINTS", "SPLATS", "MESH"])
def test_an_import_puts_origins_to_the_base_and_moves_nothing(tmp_path: Path, display: Any) -> None:
    write_clumps(tmp_path / "in", meshes=True)
    session.import_folder(tmp_path / "in", display, scale=2.0)
    before = {(name, seen): places(name, seen) for name in (*NAMES, "background") for seen in (False, True)}
    bpy.ops.wm.read_homefile(use_empty=True)
    session.import_folder(tmp_path / "in", display, scale=2.0, origin="BASE")
    for (name, seen), where in before.items():
        np.testing.assert_allclose(places(name, seen), where, atol=1e-5)
    for name in NAMES:
        (piece,) = pieces_of(part(name))
        points = before[name, True]
        middle = (points.min(0) + points.max(0)) / 2
        middle[2] = points[:, 2].min()
        np.testing.assert_allclose(piece.seen.matrix_world.translation, middle, atol=0.3 * RADIUS)
    (piece,) = pieces_of(part("background"))
    assert not origin_of(piece.thing).any()


def test_a_turned_object_stays_where_it_stands(tmp_path: Path) -> None:
    write_clumps(tmp_path / "in")
    session.import_folder(tmp_path / "in", origin="CENTRE")
    (piece,) = pieces_of(part("plant"))
    before = places("plant")
    piece.seen.rotation_euler = (0.0, 2.0, 0.0)
    turned = places("plant")
    assert np.linalg.norm(turned - before, axis=1).max() > RADIUS
    np.testing.assert_allclose(turned.mean(0), before.mean(0), atol=0.3 * RADIUS)


def test_what_was_not_edited_is_exported_as_it_came_but_for_the_rounding_of_positions(tmp_path: Path) -> None:
    splats = write_clumps(tmp_path / "in")
    session.import_folder(tmp_path / "in", scale=3.0, origin="BASE")
    for label, name in enumerate(NAMES, 1):
        export_objects([part(name)], tmp_path / "out.ply")
        same_but_for_rounding(read_ply(tmp_path / "out.ply"), splats.pick(splats.extra["label"] == label))


@pytest.mark.parametrize("write", [write_clumps, write_parted])
def test_origins_are_no_edits_and_come_back_with_edits(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in", origin="BASE")
    save_edits(scene)
    assert all(row.matrix is None for row in read_table(tmp_path / "in").objects)
    for piece in pieces_of(part("plant")):
        piece.seen.matrix_basis = Matrix.Translation((0, 0, 5)) @ piece.seen.matrix_basis
    where = places("plant")
    save_edits(scene)
    assert sum(row.matrix is not None for row in read_table(tmp_path / "in").objects) == 1
    bpy.ops.wm.read_homefile(use_empty=True)
    session.import_folder(tmp_path / "in", origin="CENTRE")
    np.testing.assert_allclose(np.sort(places("plant"), axis=0), np.sort(where, axis=0), atol=1e-5)


def test_objects_with_origins_of_their_own_are_merged_without_a_change(tmp_path: Path) -> None:
    splats = write_clumps(tmp_path / "in")
    session.import_folder(tmp_path / "in", origin="BASE")
    (plant,) = pieces_of(part("plant"))
    plant.thing.data.attributes.new("mine", "BOOLEAN", "POINT")
    merge([part("mug"), part("plant")], part("mug"))
    (mug,) = pieces_of(part("mug"))
    assert "mine" in mug.thing.data.attributes, "a translation keeps attributes of all types"
    export_objects([part("mug")], tmp_path / "out.ply")
    both = [splats.pick(splats.extra["label"] == label) for label in (1, 2)]
    got = read_ply(tmp_path / "out.ply")
    for n, each in enumerate(both):
        same_but_for_rounding(got.pick(np.arange(n * len(each), (n + 1) * len(each))), each)
    assert len(read_splats(mug.thing.data)) == 2 * len(both[0])


def test_the_panel_imports_with_origins_at_the_base(tmp_path: Path) -> None:
    write_clumps(tmp_path / "in")
    with registered():
        bpy.ops.splatlift.import_result(directory=str(tmp_path / "in"), display="POINTS")
        (piece,) = pieces_of(part("plant"))
        assert np.linalg.norm(origin_of(piece.thing)) > RADIUS


def test_an_unknown_origin_is_refused(tmp_path: Path) -> None:
    write_clumps(tmp_path / "in")
    with pytest.raises(BadArgument, match="origin 'TOP' does not exist"):
        session.import_folder(tmp_path / "in", origin="TOP")  # pyright: ignore[reportArgumentType]
