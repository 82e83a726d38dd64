"""Every test here starts in an empty Blender file."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def empty_file() -> None:
    bpy = pytest.importorskip("bpy", reason="Blender's Python module is not installed")
    bpy.ops.wm.read_homefile(use_empty=True)
