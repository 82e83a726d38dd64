"""Meshes of a result made anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from backend.lift.types import Lift
from backend.objects import result
from backend.objects.remesh import remesh
from backend.objects.table import object_table
from protocol.errors import BadArgument, NotFound
from protocol.result.meshes import read_mesh
from protocol.result.names import mesh_path
from tests.backend.objects.mesh.making import ball, joined, plane, ring


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    splats, labels = joined(ball(), ball((2.5, 0, 0), 0.2, 3), plane(-0.4))
    labels = np.where(labels == 3, 0, labels).astype(np.int32)
    lift = Lift(labels, np.ones(len(splats), np.float32), np.array([0, 9, 9], np.int32), "consensus")
    result.write_gaussians(tmp_path, splats, lift)
    result.write_objects(tmp_path, "kitchen", lift, 0, (0.0, 0.0, 1.0), object_table(splats, lift))
    cameras = {str(i): camera for i, camera in enumerate(ring(8, height=2.5))}
    result.write_cameras(tmp_path, cameras)
    return tmp_path


def test_all_objects_are_meshed_and_what_cannot_be_is_told(folder: Path) -> None:
    count, notes = remesh(folder, ["all"], watertight=True, triangles=3000, device="cpu")
    assert count == 2
    assert len(notes) == 1
    assert "Object 2 has 3 usable Gaussians" in notes[0]
    mesh = read_mesh(mesh_path(folder, 1))
    assert len(mesh.faces) <= 3000
    assert trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).is_watertight
    assert mesh.invented is not None
    assert mesh.invented.any()
    assert not mesh_path(folder, 2).exists()


def test_unknown_objects_and_too_few_triangles_are_refused(folder: Path) -> None:
    with pytest.raises(NotFound, match="no object '7'"):
        remesh(folder, ["7"])
    with pytest.raises(BadArgument, match="5 triangles are too few"):
        remesh(folder, ["1"], triangles=5)
