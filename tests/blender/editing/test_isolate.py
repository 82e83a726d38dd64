"""One object shown alone, and all again."""

from __future__ import annotations

from typing import Any

import pytest

bpy = pytest.importorskip("bpy")


from blender_addon.editing.isolate import is_isolating, isolate, show_others  # noqa: E402
from tests.blender.clumps import part  # noqa: E402

pytestmark = pytest.mark.usefixtures("every_form")


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
