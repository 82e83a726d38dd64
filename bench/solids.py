"""Solids whose surface is known exactly, and photographs of them: what meshes of objects are held against.

24 solids: primitives, bodies composed of several, and displaced ones. Three stand on a textured floor in each of eight
scenes. They are drawn by a z-buffer, so that photographs, ids and what each camera sees are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image
from trimesh import creation

from backend.compiled import kernel
from backend.demo.noise import PROFILES, spoil
from backend.demo.scene import write_colmap
from backend.scene.pose import looking_at
from backend.scene.types import Camera

EACH = 3
"""Solids in a scene."""
VIEWS = 36
SIZE = 320
SAMPLES = 3
"""Squared, rays a pixel."""
POINTS = 4000
SPACING = 0.62
"""Distance of a solid from the middle of the floor; its own size is about 1."""
FLOOR = 2.4
LIGHT = np.array([0.35, -0.45, 0.82])


def displaced(mesh: trimesh.Trimesh, amount: float, frequency: float) -> trimesh.Trimesh:
    """Move vertices along their normals by a sum of waves."""
    points = mesh.vertices
    waves = [np.sin(frequency * points @ np.array(way)) for way in ((1, 0.3, 0.5), (-0.4, 1, 0.2), (0.3, -0.5, 1))]
    return trimesh.Trimesh(points + amount * mesh.vertex_normals * np.sum(waves, axis=0)[:, None], mesh.faces)


def together(*parts: trimesh.Trimesh) -> trimesh.Trimesh:
    whole = trimesh.util.concatenate(list(parts))
    assert isinstance(whole, trimesh.Trimesh)
    return whole


def finer(mesh: trimesh.Trimesh, edge: float) -> trimesh.Trimesh:
    """Divide triangles until no edge is longer than ``edge``."""
    made = mesh.subdivide_to_size(edge)
    assert isinstance(made, trimesh.Trimesh)
    return made


def at(mesh: trimesh.Trimesh, *by: float) -> trimesh.Trimesh:
    mesh.apply_translation(by)
    return mesh


def box(*sides: float) -> trimesh.Trimesh:
    return creation.box(extents=sides)


def turned(*profile: tuple[float, float]) -> trimesh.Trimesh:
    return creation.revolve(np.array(profile, float), sections=64)


def _twisted() -> trimesh.Trimesh:
    mesh = finer(box(0.5, 0.5, 1.0), 0.06)
    angle = 1.6 * mesh.vertices[:, 2]
    c, s = np.cos(angle), np.sin(angle)
    x, y, z = mesh.vertices.T
    return trimesh.Trimesh(np.stack([c * x - s * y, s * x + c * y, z], 1), mesh.faces)


def _bent() -> trimesh.Trimesh:
    angle = np.linspace(0, 1.5 * np.pi, 40)
    path = np.stack([0.36 * np.cos(angle), 0.36 * np.sin(angle), 0.14 * angle], 1)
    circle = np.stack([np.cos(np.linspace(0, 2 * np.pi, 24)), np.sin(np.linspace(0, 2 * np.pi, 24))], 1)
    rings = []
    for a, middle in zip(angle, path, strict=True):
        out, up = np.array([np.cos(a), np.sin(a), 0]), np.array([0, 0, 1.0])
        rings.append(middle + 0.13 * (circle[:-1, :1] * out + circle[:-1, 1:] * up))
    points, n = np.concatenate(rings), 23
    faces = [
        face
        for i in range(len(rings) - 1)
        for j in range(n)
        for face in (
            (i * n + j, i * n + n + j, i * n + (j + 1) % n),
            (i * n + (j + 1) % n, i * n + n + j, i * n + n + (j + 1) % n),
        )
    ]
    for ring, order in ((0, 1), (len(rings) - 1, -1)):
        faces += [(ring * n, ring * n + j + 1, ring * n + j)[::order] for j in range(1, n - 1)]
    return trimesh.Trimesh(points, faces)


def _legs(reach: float, height: float, thick: float) -> list[trimesh.Trimesh]:
    return [at(box(thick, thick, height), x, y, height / 2) for x in (-reach, reach) for y in (-reach, reach)]


def _ball(radius: float = 0.5) -> trimesh.Trimesh:
    return creation.icosphere(subdivisions=4, radius=radius)


SOLIDS: dict[str, Callable[[], trimesh.Trimesh]] = {
    "ball": _ball,
    "box": lambda: box(0.7, 0.5, 0.8),
    "cylinder": lambda: creation.cylinder(radius=0.36, height=0.9, sections=64),
    "capsule": lambda: creation.capsule(radius=0.3, height=0.5),
    "cone": lambda: creation.cone(radius=0.42, height=0.9, sections=64),
    "ring": lambda: creation.torus(major_radius=0.36, minor_radius=0.14),
    "tube": lambda: creation.annulus(r_min=0.27, r_max=0.42, height=0.6, sections=64),
    "slab": lambda: box(0.9, 0.6, 0.16),
    "table": lambda: together(at(box(0.9, 0.7, 0.12), 0, 0, 0.6), *_legs(0.27, 0.6, 0.12)),
    "chair": lambda: together(
        at(box(0.6, 0.6, 0.1), 0, 0, 0.4), at(box(0.6, 0.1, 0.6), 0, 0.25, 0.7), *_legs(0.23, 0.4, 0.1)
    ),
    "stairs": lambda: together(*(at(box(0.6, 0.25, 0.25 * (i + 1)), 0, 0.25 * i, 0.125 * (i + 1)) for i in range(3))),
    "corner": lambda: together(box(0.9, 0.3, 0.4), at(box(0.3, 0.7, 0.4), -0.3, 0.3, 0)),
    "cross": lambda: together(box(0.9, 0.28, 0.3), box(0.28, 0.9, 0.3), box(0.28, 0.28, 0.9)),
    "dumbbell": lambda: together(
        at(_ball(0.26), -0.36, 0, 0), at(_ball(0.26), 0.36, 0, 0), box(0.8, 0.18, 0.18)
    ),
    "snowman": lambda: together(at(_ball(0.36), 0, 0, 0), at(_ball(0.25), 0, 0, 0.5)),
    "mug": lambda: together(
        turned((0, 0), (0.32, 0), (0.34, 0.7), (0.27, 0.7), (0.25, 0.1), (0, 0.1)),
        at(box(0.26, 0.1, 0.1), 0.42, 0, 0.56), at(box(0.26, 0.1, 0.1), 0.42, 0, 0.16),
        at(box(0.1, 0.1, 0.5), 0.54, 0, 0.36),
    ),
    "bowl": lambda: turned(
        (0, 0), (0.2, 0), (0.42, 0.22), (0.5, 0.46), (0.43, 0.46), (0.35, 0.26), (0.17, 0.1), (0, 0.1)
    ),
    "vase": lambda: turned(
        (0, 0), (0.22, 0), (0.36, 0.3), (0.28, 0.6), (0.16, 0.75), (0.24, 0.95), (0.15, 0.95), (0.1, 0.75), (0, 0.7)
    ),
    "bottle": lambda: turned((0, 0), (0.26, 0), (0.28, 0.55), (0.12, 0.75), (0.12, 1.0), (0, 1.0)),
    "pebble": lambda: displaced(_ball(0.42), 0.045, 6.0),
    "star": lambda: displaced(_ball(0.4), 0.035, 14.0),
    "rock": lambda: displaced(finer(box(0.7, 0.55, 0.6), 0.05), 0.03, 9.0),
    "twisted": _twisted,
    "coil": _bent,
}  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """Solids on a floor; solid ``i`` has instance id ``i + 1``, the floor 0.

    Attributes:
        names: keys of :data:`SOLIDS`.
        meshes: where they stand, z up.
    """

    names: tuple[str, ...]
    meshes: tuple[trimesh.Trimesh, ...]

    @classmethod
    def of(cls, names: Sequence[str], seed: int) -> Stage:
        rng = np.random.default_rng(seed)
        meshes = []
        for i, name in enumerate(names):
            mesh = SOLIDS[name]()
            mesh.apply_transform(trimesh.transformations.rotation_matrix(rng.uniform(0, 2 * np.pi), [0, 0, 1]))
            angle = 2 * np.pi * i / len(names) + 0.3
            low = mesh.bounds[0]
            middle = mesh.bounds.mean(0)
            mesh.apply_translation([SPACING * np.cos(angle) - middle[0], SPACING * np.sin(angle) - middle[1], -low[2]])
            meshes.append(mesh)
        return cls(tuple(names), tuple(meshes))

    def photograph(self, camera: Camera) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Return a photograph (H, W, 3) and the exact ids (H, W)."""
        fine = camera.resized(camera.width * SAMPLES, camera.height * SAMPLES)
        points, normals, ids = self.trace(fine)
        colour = shade(points, normals, ids)
        small = colour.reshape(camera.height, SAMPLES, camera.width, SAMPLES, 3).mean((1, 3))
        return np.round(255 * small).astype(np.uint8), ids[SAMPLES // 2 :: SAMPLES, SAMPLES // 2 :: SAMPLES]

    def trace(self, camera: Camera) -> tuple[NDArray, NDArray, NDArray[np.int32]]:
        """Return the points and normals (H, W, 3) and ids (H, W) that the pixels of a camera see; id -1 sees none."""
        floor = trimesh.Trimesh(
            [[-FLOOR, -FLOOR, 0], [FLOOR, -FLOOR, 0], [FLOOR, FLOOR, 0], [-FLOOR, FLOOR, 0]], [[0, 1, 2], [0, 2, 3]]
        )
        parts = (finer(floor, 0.5), *self.meshes)
        corners = np.concatenate([part.triangles for part in parts])
        owner = np.repeat(np.arange(len(parts)), [len(part.faces) for part in parts])
        normals = np.concatenate([part.face_normals for part in parts])
        there = camera.from_world(corners)
        depth = np.full((camera.height, camera.width), np.inf)
        face = np.full((camera.height, camera.width), -1)
        draw(there, camera.K, depth, face)
        x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
        rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(camera.K).T @ camera.viewmat[:3, :3]
        hit = np.where(face >= 0, depth, 0.0)
        return camera.centre + hit[..., None] * rays, normals[face], np.where(face >= 0, owner[face], -1)


@kernel()
def draw(corners, K, depth, face):
    """Draw triangles (F, 3, 3), in camera axes and all in front of the camera, into a z-buffer (H, W)."""
    height, width = depth.shape
    u, v = np.empty(3), np.empty(3)
    for f in range(corners.shape[0]):
        for c in range(3):
            u[c] = K[0, 0] * corners[f, c, 0] / corners[f, c, 2] + K[0, 2]
            v[c] = K[1, 1] * corners[f, c, 1] / corners[f, c, 2] + K[1, 2]
        area = (u[1] - u[0]) * (v[2] - v[0]) - (u[2] - u[0]) * (v[1] - v[0])
        if area == 0:
            continue
        for row in range(max(0, int(v.min() - 0.5)), min(height, int(v.max() + 0.5) + 1)):
            for column in range(max(0, int(u.min() - 0.5)), min(width, int(u.max() + 0.5) + 1)):
                x, y = column + 0.5, row + 0.5
                a = ((u[1] - x) * (v[2] - y) - (u[2] - x) * (v[1] - y)) / area
                b = ((u[2] - x) * (v[0] - y) - (u[0] - x) * (v[2] - y)) / area
                c = 1 - a - b
                if a < 0 or b < 0 or c < 0:
                    continue
                z = 1 / (a / corners[f, 0, 2] + b / corners[f, 1, 2] + c / corners[f, 2, 2])
                if z < depth[row, column]:
                    depth[row, column], face[row, column] = z, f


def shade(points: NDArray, normals: NDArray, ids: NDArray) -> NDArray:
    """Colours (..., 3), 0 to 1, with a pattern fixed to the surface and the light of one lamp and the sky."""
    waves = [
        np.sin(f * (points @ np.array(way)) + 1.7 * ids)
        for f, way in ((9, (1, 0.4, 0.3)), (17, (-0.5, 0.9, 0.6)), (31, (0.3, -0.7, 1.1)), (47, (0.8, 0.6, -0.7)))
    ]
    hue = np.stack([np.sin(2.1 * ids + k + 1.5 * waves[0] + 0.5 * waves[1]) for k in (0.0, 2.1, 4.2)], -1)
    base = np.where(ids[..., None] > 0, 0.55 + 0.25 * hue, np.array([0.6, 0.55, 0.48]))
    pattern = 0.85 + 0.15 * np.tanh(sum(waves))
    light = 0.5 + 0.5 * np.clip(normals @ LIGHT, 0, 1)
    colour = base * (pattern * light)[..., None]
    return np.where(ids[..., None] < 0, [0.75, 0.8, 0.85], np.clip(colour, 0, 1))


def cameras(seed: int) -> list[Camera]:
    """Cameras around the solids at heights from low to high."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(VIEWS):
        angle = i * np.pi * (3 - np.sqrt(5))
        lift = np.radians(12 + 58 * ((i * 0.7548776662) % 1.0))
        eye = 3.6 * np.array([np.cos(angle) * np.cos(lift), np.sin(angle) * np.cos(lift), np.sin(lift)])
        viewmat = looking_at(eye, np.array([0, 0, 0.35]) + rng.normal(0, 0.05, 3), [0, 0, 1.0])
        focal = 1.45 * SIZE
        found.append(Camera(viewmat, np.array([[focal, 0, SIZE / 2], [0, focal, SIZE / 2], [0, 0, 1]]), SIZE, SIZE))
    return found


def write_stage(folder: Path, stage: Stage, seed: int, noise: str = "detector") -> None:
    """Write a scene as COLMAP text with spoilt masks; exact ids in ``gt/instance``, the solids in ``gt/meshes``."""
    rng = np.random.default_rng(seed)
    views = cameras(seed)
    for part in ("images", "masks", "gt/instance", "gt/meshes", "sparse/0"):
        (folder / part).mkdir(parents=True)
    points, colours = [], []
    for i, camera in enumerate(views):
        picture, ids = stage.photograph(camera)
        things = np.maximum(ids, 0)
        Image.fromarray(picture).save(folder / "images" / f"{i:04d}.png")
        Image.fromarray(things.astype(np.uint16)).save(folder / "gt" / "instance" / f"{i:04d}.png")
        masks = spoil(things.astype(np.int32), PROFILES[noise], rng)
        Image.fromarray(masks.astype(np.uint16)).save(folder / "masks" / f"{i:04d}.png")
        seen, _, _ = stage.trace(camera)
        rows = rng.choice(np.flatnonzero(ids >= 0), POINTS // VIEWS, replace=False)
        points.append(seen.reshape(-1, 3)[rows] + rng.normal(0, 0.005, (len(rows), 3)))
        colours.append(picture.reshape(-1, 3)[rows].astype(int))
    write_colmap(folder / "sparse" / "0", views, np.concatenate(points), np.concatenate(colours))
    for name, mesh in zip(stage.names, stage.meshes, strict=True):
        mesh.export(folder / "gt" / "meshes" / f"{name}.ply")


def stages() -> list[Stage]:
    """Return the eight scenes; easy and hard solids are mixed in each."""
    names = list(SOLIDS)
    count = len(names) // EACH
    return [Stage.of(names[i::count], seed=i) for i in range(count)]
