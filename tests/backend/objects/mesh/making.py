"""Scenes and cameras for the tests of meshes."""

from __future__ import annotations

import numpy as np

from backend.scene.types import Camera
from protocol.splats import Splats


def camera(eye, target=(0.0, 0.0, 0.0), size: int = 96, focal: float = 1.2) -> Camera:
    """A camera at ``eye`` that looks at ``target``."""
    eye = np.array(eye, float)
    forward = np.array(target, float) - eye
    forward /= np.linalg.norm(forward)
    side = np.cross(forward, [0, 0, 1.0] if abs(forward[2]) < 0.99 else [0, 1.0, 0])
    side /= np.linalg.norm(side)
    viewmat = np.eye(4)
    viewmat[:3, :3] = np.stack([side, np.cross(forward, side), forward])
    viewmat[:3, 3] = -viewmat[:3, :3] @ eye
    return Camera(
        viewmat, np.array([[focal * size, 0, size / 2], [0, focal * size, size / 2], [0, 0, 1.0]]), size, size
    )


def ring(count: int = 12, radius: float = 4.0, height: float = 1.5, size: int = 96) -> list[Camera]:
    turns = np.arange(count) * 2 * np.pi / count
    return [camera((radius * np.cos(t), radius * np.sin(t), height), size=size) for t in turns]


def sheet(points: np.ndarray, normal, size: float, colour=(1.0, -1.0, -1.0), logit: float = 4.0) -> Splats:
    """Opaque flat Gaussians at points (N, 3), across ``normal``, of one colour in the constant term."""
    normal = np.broadcast_to(np.array(normal, np.float64), points.shape)
    normal = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    # The turn that takes the z axis to the normal.
    quats = np.stack([1 + normal[:, 2], -normal[:, 1], normal[:, 0], np.zeros(len(normal))], 1)
    quats[np.abs(quats).max(1) < 1e-6] = [0, 1, 0, 0]
    scales = np.tile(np.log([size, size, size / 20]), (len(points), 1))
    sh = np.tile(np.array([[colour]], np.float32), (len(points), 1, 1))
    return Splats(
        points.astype(np.float32), quats.astype(np.float32), scales.astype(np.float32),
        np.full(len(points), logit, np.float32), sh,
    )  # fmt: skip


def ball(centre=(0.0, 0.0, 0.0), radius: float = 1.0, count: int = 3000) -> Splats:
    """A closed ball of flat Gaussians."""
    i = np.arange(count) + 0.5
    height, turn = 1 - 2 * i / count, np.pi * (1 + 5**0.5) * i
    across = np.sqrt(1 - height**2)
    normals = np.stack([across * np.cos(turn), across * np.sin(turn), height], 1)
    return sheet(np.array(centre) + radius * normals, normals, radius * 0.06)


def plane(z: float, half: float = 3.0, step: float = 0.12) -> Splats:
    """A level wall of flat Gaussians."""
    x, y = np.meshgrid(np.arange(-half, half, step), np.arange(-half, half, step))
    points = np.stack([x.ravel(), y.ravel(), np.full(x.size, z)], 1)
    return sheet(points, (0, 0, 1), step * 0.7, colour=(-1.0, 1.0, -1.0))


def joined(*parts: Splats) -> tuple[Splats, np.ndarray]:
    """Parts as one, and their labels 1, 2 and so on."""
    labels = np.repeat(np.arange(1, len(parts) + 1), [len(part) for part in parts])
    names = ("means", "quats", "scales", "opacities", "sh")
    columns = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
    means, quats, scales, opacities, sh = columns
    return Splats(means, quats, scales, opacities, sh), labels
