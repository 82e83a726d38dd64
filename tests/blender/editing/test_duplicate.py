"""Duplicated objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")


from blender_addon import session  # noqa: E402
from blender_addon.editing.duplicate import duplicate  # noqa: E402
from blender_addon.editing.parts import pieces_of  # noqa: E402
from blender_addon.editing.remove import delete  # noqa: E402
from blender_addon.splats.export import export_objects, world_matrix  # noqa: E402
from protocol.ply import read_ply  # noqa: E402
from tests.blender.clumps import part, write_clumps  # noqa: E402
from tests.blender.editing.parts import held, labels_are_right  # noqa: E402

pytestmark = pytest.mark.usefixtures("every_form")


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
