"""Textures baked from pictures."""

from __future__ import annotations

import io

import numpy as np
import pytest
import trimesh
from PIL import Image

from backend.objects.mesh.make import MeshMaker
from backend.scene.types import Camera
from protocol.result.meshes import Mesh
from tests.backend.objects.mesh.making import ball, joined, ring

CAMERAS = ring(16, height=2.5)


def striped(camera: Camera, light: float = 1.0) -> np.ndarray:
    """A photograph of a unit ball with stripes by height, red and blue, at twice the size of the camera."""
    x, y = np.meshgrid(np.arange(2 * camera.width) + 0.5, np.arange(2 * camera.height) + 0.5)
    rays = np.stack([x / 2, y / 2, np.ones_like(x)], -1) @ np.linalg.inv(camera.K).T @ camera.viewmat[:3, :3]
    a, b, c = (rays**2).sum(-1), rays @ camera.centre, camera.centre @ camera.centre - 1
    root = b**2 - a * c
    height = camera.centre[2] + (-b - np.sqrt(np.maximum(root, 0))) / a * rays[..., 2]
    red = np.floor(height * 5) % 2 == 0
    picture = np.where(red[..., None], [200, 0, 40], [0, 40, 200]) * light
    return np.where(root[..., None] > 0, picture, 90).astype(np.uint8)


def colour_at(mesh: Mesh, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Return points on a mesh, and what its texture shows there."""
    assert mesh.texture is not None
    rng = np.random.default_rng(0)
    face = rng.integers(0, len(mesh.faces), count)
    share = rng.dirichlet([1, 1, 1], count)[..., None]
    u, v = (mesh.texture.uv[face] * share).sum(1).T
    picture = np.asarray(Image.open(io.BytesIO(mesh.texture.png)))
    height, width = picture.shape[:2]
    row, column = ((1 - v) * height).astype(int), (u * width).astype(int)
    return (mesh.vertices[mesh.faces[face]] * share).sum(1), picture[row.clip(0, height - 1), column.clip(0, width - 1)]


@pytest.fixture(scope="module")
def textured() -> Mesh:
    # Every second photograph is darker: exposure is not part of the surface.
    photographs = [striped(camera, 1.0 if n % 2 else 0.6) for n, camera in enumerate(CAMERAS)]
    splats, labels = joined(ball())
    maker = MeshMaker(splats, labels, CAMERAS, "cpu", lambda number: photographs[number])
    made = maker.make(1, textures=True, triangles=4000).mesh
    assert made is not None
    return made


def test_a_texture_shows_what_the_photographs_show(textured: Mesh) -> None:
    points, colours = colour_at(textured)
    height = points[:, 2] / np.linalg.norm(points, axis=1)
    inside = np.abs(height * 5 - np.round(height * 5)) > 0.25  # away from the edges of stripes
    seen = inside & (height > -0.3)
    red = np.floor(height * 5) % 2 == 0
    assert np.mean((colours[seen, 0] > colours[seen, 2].astype(int)) == red[seen]) > 0.98


def test_exposure_is_evened_out(textured: Mesh) -> None:
    points, colours = colour_at(textured)
    height = points[:, 2] / np.linalg.norm(points, axis=1)
    middle = (np.abs(height - 0.5) < 0.04) & (colours[:, 0] > colours[:, 2])
    angle = np.arctan2(points[middle, 1], points[middle, 0])
    turn = (angle / (2 * np.pi) * len(CAMERAS)).round().astype(int) % 2
    red = colours[middle, 0].astype(float)
    assert abs(red[turn == 0].mean() - red[turn == 1].mean()) < 0.06 * red.mean()


def test_what_hides_an_object_does_not_colour_it() -> None:
    """Photographs mix the colours on both sides of an outline, and depths are off by a pixel."""
    small, radius = np.array([0.9, 0.0, 1.3]), 0.3
    splats, labels = joined(ball(), ball(small, radius, 800))

    def photograph(number: int) -> np.ndarray:
        camera = CAMERAS[number]
        x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
        rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(camera.K).T @ camera.viewmat[:3, :3]
        way = small - camera.centre
        off = np.linalg.norm(np.cross(rays / np.linalg.norm(rays, axis=-1, keepdims=True), way), axis=-1)
        spilt = radius + 1.5 * np.linalg.norm(way) / camera.K[0, 0]
        return np.where((off < spilt)[..., None], [0, 255, 0], [200, 0, 40]).astype(np.uint8)

    made = MeshMaker(splats, labels, CAMERAS, "cpu", photograph).make(1, textures=True, triangles=4000).mesh
    assert made is not None
    points, colours = colour_at(made)
    lit = points @ (small / np.linalg.norm(small)) > 0
    assert np.mean(colours[lit, 1] > 20) < 0.004


def test_texture_and_faces_agree_and_a_mesh_stays_closed() -> None:
    splats, labels = joined(ball())
    made = MeshMaker(splats, labels, CAMERAS, "cpu").make(1, textures=True, watertight=True, triangles=3000).mesh
    assert made is not None
    assert made.texture is not None
    assert made.texture.uv.shape == (len(made.faces), 3, 2)
    assert made.texture.uv.min() >= 0
    assert made.texture.uv.max() <= 1
    assert trimesh.Trimesh(made.vertices, made.faces, process=False).is_watertight
    assert MeshMaker(splats, labels, CAMERAS, "cpu").make(1, triangles=500).mesh.texture is None  # pyright: ignore
