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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "every_form" in metafunc.fixturenames:
        from blender_addon.splats.native import can_draw_splats

        forms = ["POINTS", "SPLATS"] if can_draw_splats() else ["POINTS"]
        metafunc.parametrize("every_form", forms, indirect=True)


@pytest.fixture
def every_form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have tests that do not say how they import do so as meshes of points, and as Gaussians of Blender's own."""
    from blender_addon import session

    for function in (session.import_folder, session.import_steps):
        others = (function.__defaults__ or ())[1:]
        monkeypatch.setattr(function, "__defaults__", (request.param, *others))
    return request.param


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
