"""Every test here starts in an empty Blender file."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

import build_addon


@pytest.fixture(autouse=True)
def empty_file() -> None:
    bpy = pytest.importorskip("bpy", reason="Blender's Python module is not installed")
    bpy.ops.wm.read_homefile(use_empty=True)


@pytest.fixture(scope="session")
def backend_python() -> str:
    """A Python that has the backend: the one that SPLATLIFT_BACKEND_PYTHON names, or this one."""
    named = os.environ.get("SPLATLIFT_BACKEND_PYTHON")
    if not named and importlib.util.find_spec("torch") is None:
        pytest.skip("the backend is not installed here (set SPLATLIFT_BACKEND_PYTHON to a Python that has it)")
    return named or sys.executable


@pytest.fixture(scope="session")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension zip for this machine."""
    return build_addon.build(tmp_path_factory.mktemp("dist"), build_addon.this_platform())
