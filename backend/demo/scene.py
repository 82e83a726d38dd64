"""Writes the demonstration scene: a COLMAP folder with photographs, noisy masks, sparse points and ground truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from backend.demo.noise import PROFILES, spoil
from backend.demo.world import World
from backend.progress import Progress, silent
from backend.scene.pose import looking_at
from backend.scene.types import Camera

OBJECTS = 10
VIEWS = 30
SIZE = 256
POINTS = 4000


def write_scene(
    folder: Path,
    *,
    objects: int = OBJECTS,
    views: int = VIEWS,
    size: int = SIZE,
    noise: str = "detector",
    seed: int = 0,
    progress: Progress = silent,
) -> None:
    """Generate a scene of ``objects`` solids in a room and write it to ``folder``.

    The layout is COLMAP text (``images/``, ``sparse/0/``). ``masks/*.png`` are degraded with the named profile of
    :data:`backend.demo.noise.PROFILES`; ``gt/instance/*.png`` has the exact ids. Cameras go around the room in steps of
    the golden angle, so that the last views lie between the others.
    """
    rng = np.random.default_rng(seed)
    world = World.random(objects, rng)
    cameras = [look_at_room(i, size) for i in range(views)]
    for part in ("images", "masks", "gt/instance", "sparse/0"):
        (folder / part).mkdir(parents=True)
    for i, camera in enumerate(cameras):
        progress("scene", i / views, "making photographs and masks")
        photograph, ids = world.photograph(camera)
        Image.fromarray(photograph).save(folder / "images" / f"{i:04d}.png")
        Image.fromarray(ids).save(folder / "gt" / "instance" / f"{i:04d}.png")
        Image.fromarray(spoil(ids.astype(np.int32), PROFILES[noise], rng).astype(np.uint16)).save(
            folder / "masks" / f"{i:04d}.png"
        )
    write_colmap(folder / "sparse" / "0", cameras, *_sparse_points(world, cameras, rng))


def look_at_room(index: int, size: int) -> Camera:
    """Return camera ``index``: on a ring around the solids, at a varying height, looking at their middle."""
    angle = index * np.pi * (3 - np.sqrt(5))
    height = 0.9 + 1.1 * ((index * 0.7548776662) % 1.0)
    eye = np.array([2.5 * np.cos(angle), 2.5 * np.sin(angle), height])
    viewmat = looking_at(eye, np.array([0.0, 0.0, 0.2]), [0.0, 0.0, 1.0])
    focal = 1.05 * size
    K = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    return Camera(viewmat, K, size, size)


def _sparse_points(world: World, cameras: list[Camera], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the points that structure from motion would find: some of what each camera sees, with 5 mm of noise."""
    each = POINTS // len(cameras) + 1
    points, colours = [], []
    for camera in cameras:
        seen, colour = world.surface(camera)
        chosen = rng.choice(len(seen), each, replace=False)
        points.append(seen[chosen] + rng.normal(0, 0.005, (each, 3)))
        colours.append(np.round(255 * np.clip(colour[chosen], 0, 1)).astype(int))
    return np.concatenate(points)[:POINTS], np.concatenate(colours)[:POINTS]


def write_colmap(folder: Path, cameras: list[Camera], points: np.ndarray, colours: np.ndarray) -> None:
    """Write a COLMAP text model without keypoints: cameras of one model, images ``0000.png`` and so on, and points.

    Args:
        folder: an existing folder.
        cameras: all with the same K and size.
        points: (P, 3), in the world.
        colours: (P, 3) integers, 0 to 255.
    """
    first = cameras[0]
    K = first.K
    (folder / "cameras.txt").write_text(
        f"1 PINHOLE {first.width} {first.height} {K[0, 0]} {K[1, 1]} {K[0, 2]} {K[1, 2]}\n"
    )
    lines = []
    for i, camera in enumerate(cameras):
        w, x, y, z = quaternion(camera.viewmat[:3, :3])
        tx, ty, tz = camera.viewmat[:3, 3]
        # The second line of a COLMAP image lists its keypoints; there are none.
        lines += [f"{i + 1} {w} {x} {y} {z} {tx} {ty} {tz} 1 {i:04d}.png", ""]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    rows = (
        f"{i + 1} {x:.5f} {y:.5f} {z:.5f} {r} {g} {b} 0.5"
        for i, ((x, y, z), (r, g, b)) in enumerate(zip(points, colours, strict=True))
    )
    (folder / "points3D.txt").write_text("\n".join(rows) + "\n")


def quaternion(rotation: np.ndarray) -> np.ndarray:
    """Return w, x, y, z of a (3, 3) rotation."""
    x, y, z, w = Rotation.from_matrix(rotation).as_quat()
    return np.array([w, x, y, z])
