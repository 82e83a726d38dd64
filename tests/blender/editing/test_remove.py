"""Objects and selected Gaussians deleted."""

from __future__ import annotations

from typing import Any

import pytest

bpy = pytest.importorskip("bpy")


from blender_addon.editing.parts import pieces_of  # noqa: E402
from blender_addon.editing.remove import delete, delete_selection  # noqa: E402
from blender_addon.splats.columns import read_positions  # noqa: E402
from tests.blender.clumps import part  # noqa: E402
from tests.blender.editing.parts import held, right_half  # noqa: E402

pytestmark = pytest.mark.usefixtures("every_form")


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
