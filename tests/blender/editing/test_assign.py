"""Gaussians assigned to another object and to the background."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from mathutils import Matrix  # noqa: E402

from blender_addon import session  # noqa: E402
from blender_addon.editing.assign import assign, assign_to_background  # noqa: E402
from protocol.errors import BadArgument  # noqa: E402
from protocol.transform import transform  # noqa: E402
from tests.blender.clumps import clumps, part, write_clumps  # noqa: E402
from tests.blender.editing.parts import held, labels_are_right, right_half, select  # noqa: E402

pytestmark = pytest.mark.usefixtures("every_form")


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
