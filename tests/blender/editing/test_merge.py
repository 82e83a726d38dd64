"""Objects merged into one, in points and in meshes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from mathutils import Euler, Matrix  # noqa: E402

from blender_addon import session  # noqa: E402
from blender_addon.editing.merge import merge  # noqa: E402
from blender_addon.editing.parts import pieces_of  # noqa: E402
from blender_addon.editing.remove import delete, delete_selection  # noqa: E402
from blender_addon.splats.export import export_objects  # noqa: E402
from protocol.errors import BadArgument, BadSplats  # noqa: E402
from protocol.ply import read_ply  # noqa: E402
from protocol.splats import merge as merge_splats  # noqa: E402
from tests.blender.clumps import part  # noqa: E402
from tests.blender.editing.parts import held, labels_are_right, select  # noqa: E402
from tests.blender.example import same  # noqa: E402

pytestmark = pytest.mark.usefixtures("every_form")


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
