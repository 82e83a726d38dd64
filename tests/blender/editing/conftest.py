"""Scenes of three objects to edit, as points and as meshes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")


from blender_addon import session  # noqa: E402
from tests.blender.clumps import write_clumps  # noqa: E402


@pytest.fixture(params=["POINTS", "MESH"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    write_clumps(tmp_path / "in", meshes=True)
    return session.import_folder(tmp_path / "in", request.param)


@pytest.fixture
def points(tmp_path: Path) -> Any:
    write_clumps(tmp_path / "in")
    return session.import_folder(tmp_path / "in")
