"""Every test here starts in an empty Blender file."""

from __future__ import annotations

from pathlib import Path

import pytest

import build_addon


@pytest.fixture(autouse=True)
def empty_file() -> None:
    bpy = pytest.importorskip("bpy", reason="Blender's Python module is not installed")
    bpy.ops.wm.read_homefile(use_empty=True)


@pytest.fixture(scope="session")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension zip for this machine."""
    return build_addon.build(tmp_path_factory.mktemp("dist"), build_addon.this_platform())
