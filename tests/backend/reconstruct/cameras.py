"""Cameras and photographs that tests make up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from backend.reconstruct.photographs import Photograph
from backend.scene.types import Camera


def looking_at(centre: Sequence[float], target: Sequence[float], size: tuple[int, int], focal: float) -> Camera:
    """A camera at ``centre`` with the world's z axis upright in its image; size is (width, height)."""
    forward = np.subtract(target, centre)
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    viewmat = np.eye(4)
    viewmat[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    viewmat[:3, 3] = -viewmat[:3, :3] @ np.asarray(centre)
    K = np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1.0]])
    return Camera(viewmat, K, *size)


def ring(count: int, size: tuple[int, int], focal: float, radius: float = 3.0, height: float = 2.0) -> list[Camera]:
    """Cameras on part of a circle, all looking at the origin."""
    angles = np.linspace(0, 1.5, count)
    return [looking_at([radius * np.cos(a), radius * np.sin(a), height], [0, 0, 0], size, focal) for a in angles]


def texture(points: NDArray) -> NDArray[np.float64]:
    """(..., 2) positions on a plane -> (..., 3) colours between 0 and 1, without repetition nearby."""
    rng = np.random.default_rng(5)
    waves = rng.normal(0, 8, (24, 2))
    phases = rng.uniform(0, 6, 24)
    mix = rng.normal(0, 0.12, (24, 3))
    return np.clip(0.5 + np.sin(points @ waves.T + phases) @ mix, 0.02, 1)


def photograph_of_floor(camera: Camera) -> Photograph:
    """An exact photograph of the textured plane z = 0."""
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(camera.K).T @ camera.viewmat[:3, :3]
    down = np.minimum(rays[..., 2], -1e-3)
    hit = camera.centre + rays * (-camera.centre[2] / down)[..., None]
    image = np.where((rays[..., 2] < 0)[..., None], texture(hit[..., :2]), 0)
    return Photograph(camera, torch.from_numpy((255 * image).astype(np.uint8)), None)
