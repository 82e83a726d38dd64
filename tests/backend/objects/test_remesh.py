"""Meshes of a result made anew."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from backend.demo.scene import write_colmap
from backend.lift.types import Lift
from backend.objects import result
from backend.objects.remesh import remesh
from backend.objects.table import object_table
from protocol.errors import BadArgument, NotFound, Unavailable
from protocol.result.meshes import read_mesh, texture_path
from protocol.result.names import mesh_path
from tests.backend.objects.mesh.making import ball, joined, plane, ring


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    splats, labels = joined(ball(), ball((2.5, 0, 0), 0.2, 3), plane(-0.4))
    labels = np.where(labels == 3, 0, labels).astype(np.int32)
    lift = Lift(labels, np.ones(len(splats), np.float32), np.array([0, 9, 9], np.int32), "consensus")
    result.write_gaussians(tmp_path, splats, lift)
    result.write_objects(tmp_path, "kitchen", lift, 0, (0.0, 0.0, 1.0), object_table(splats, lift))
    cameras = {f"{i:04d}": camera for i, camera in enumerate(ring(8, height=2.5))}
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


def test_textures_are_baked_from_photographs_if_a_scene_is_given(folder: Path, tmp_path: Path) -> None:
    remesh(folder, ["1"], triangles=500, textures=True, device="cpu")
    baked = read_mesh(mesh_path(folder, 1)).texture
    assert baked is not None
    assert colour_of(baked.png) == pytest.approx([199, 56, 56], abs=12)  # that of the Gaussians
    scene = write_views(tmp_path / "scene", (40, 90, 200), folder)
    remesh(folder, ["1"], triangles=500, textures=True, scene=scene, device="cpu")
    baked = read_mesh(mesh_path(folder, 1)).texture
    assert baked is not None
    # A uniform photograph has no colour of its own once its exposure is matched, up to the largest gain.
    assert colour_of(baked.png) == pytest.approx([120, 56, 67], abs=15)
    remesh(folder, ["1"], triangles=500, device="cpu")
    assert read_mesh(mesh_path(folder, 1)).texture is None
    assert not texture_path(mesh_path(folder, 1)).exists()


def test_textures_need_cameras_and_the_photographs_of_the_result(folder: Path, tmp_path: Path) -> None:
    scene = write_views(tmp_path / "scene", (0, 0, 0), folder, rename=True)
    with pytest.raises(BadArgument, match=r"No photograph of .* belongs to a view"):
        remesh(folder, ["1"], scene=scene, device="cpu")
    (folder / "cameras.json").unlink()
    with pytest.raises(BadArgument, match="has no cameras to bake textures with"):
        remesh(folder, ["1"], textures=True, device="cpu")


def test_a_result_that_cannot_be_written_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(result, "write_mesh", refuse)
    with pytest.raises(Unavailable, match=r"The meshes cannot be written to .*: Permission denied\."):
        remesh(folder, ["1"], triangles=500, device="cpu")


def colour_of(png: bytes) -> np.ndarray:
    return np.median(np.asarray(Image.open(io.BytesIO(png))).reshape(-1, 3), axis=0)


def write_views(scene: Path, colour: tuple[int, int, int], folder: Path, rename: bool = False) -> Path:
    """Write a capture with a photograph of one colour for each camera of a result."""
    cameras = list(result.read_cameras(folder).values())
    if rename:
        result.write_cameras(folder, {f"other{number}": camera for number, camera in enumerate(cameras)})
    (scene / "images").mkdir(parents=True)
    (scene / "sparse" / "0").mkdir(parents=True)
    for number, camera in enumerate(cameras):
        Image.new("RGB", (camera.width, camera.height), colour).save(scene / "images" / f"{number:04d}.png")
    points = np.random.default_rng(0).normal(size=(50, 3))
    write_colmap(scene / "sparse" / "0", cameras, points, np.zeros((50, 3), int))
    return scene


def test_unknown_objects_and_too_few_triangles_are_refused(folder: Path) -> None:
    with pytest.raises(NotFound, match="no object '7'"):
        remesh(folder, ["7"])
    with pytest.raises(BadArgument, match="5 triangles are too few"):
        remesh(folder, ["1"], triangles=5)
