"""Names and colours of objects."""

from __future__ import annotations

from typing import Any

import pytest

bpy = pytest.importorskip("bpy")


from blender_addon.editing.naming import recolour, rename  # noqa: E402
from blender_addon.editing.parts import pieces_of  # noqa: E402
from blender_addon.splats.collections import linear  # noqa: E402
from protocol.errors import BadArgument  # noqa: E402
from tests.blender.clumps import part  # noqa: E402

pytestmark = pytest.mark.usefixtures("every_form")


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
