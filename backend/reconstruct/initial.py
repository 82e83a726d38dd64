"""Where the first Gaussians lie: at the capture's sparse points, or on surfaces found by sweeping depths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree

from backend.progress import Progress, silent
from backend.reconstruct.optimiser import Columns
from backend.reconstruct.photographs import Photograph
from backend.reconstruct.sweep import surface_points
from backend.scene.types import Camera
from protocol.sh import SH0

FEWEST = 100
"""A capture with fewer sparse points than this is treated as one without: they would not outline a scene."""


OPACITY = 0.3

Points = tuple[NDArray[np.float32], NDArray[np.uint8]]


def initial_points(
    points: NDArray[np.float32],
    colours: NDArray[np.uint8],
    photos: Sequence[Photograph],
    most: int,
    seed: int,
    progress: Progress = silent,
) -> Points:
    """Return at most ``most`` points, (P, 3) float32 in the world and their colours (P, 3) uint8.

    Args:
        points, colours: the sparse points of the scene; points that are not finite are left out.
        photos: where there are too few points, these are searched for surfaces; small ones will do.
        most: a random choice is made of more points than this.
        seed: of that choice and of the search.
    """
    usable = np.isfinite(points).all(1) & (np.abs(points) < 1e6).all(1)
    points, colours = points[usable], colours[usable]
    if len(points) < FEWEST:
        return surface_points(photos, most, seed, progress)
    if len(points) > most:
        chosen = np.random.default_rng(seed).choice(len(points), most, replace=False)
        points, colours = points[chosen], colours[chosen]
    return points.astype(np.float32), colours


def viewing_distance(points: NDArray[np.float32], cameras: Sequence[Camera]) -> float:
    """Return the median over cameras of the median depth of the points inside the image, in scene units.

    It is the length that step sizes and size limits of Gaussians are measured by. Where no camera sees a point it is
    the median distance of the points from the first camera.
    """
    depths = []
    for camera in cameras:
        seen = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
        ahead = seen[seen[:, 2] > 1e-6]
        pixel = ahead @ camera.K.T
        x, y = pixel[:, 0] / pixel[:, 2], pixel[:, 1] / pixel[:, 2]
        inside = (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
        if inside.any():
            depths.append(np.median(ahead[inside, 2]))
    if depths:
        return float(np.median(depths))
    return max(float(np.median(np.linalg.norm(points - cameras[0].centre, axis=1))), 1e-3)


def gaussians_at(points: Points, distance: float, sh_degree: int, device: str) -> Columns:
    """Return columns, as in Splats, of round Gaussians at ``points``, about as large as their neighbours are far.

    Args:
        distance: :func:`viewing_distance`; sizes stay between 0.0009 and 0.09 of it and within three times the usual,
            so that neither a pair of points in one place nor a lonely one makes a Gaussian that training cannot mend.
    """
    means, colours = points
    count = len(means)
    neighbours = min(4, count)
    gaps = KDTree(means).query(means, k=neighbours)[0].reshape(count, neighbours)[:, 1:]
    spacing = gaps.mean(1) if neighbours > 1 else np.full(count, 0.01 * distance)
    size = np.minimum(0.7 * spacing, 2.1 * np.median(spacing))
    size = np.clip(size, 9e-4 * distance, 0.09 * distance)
    sh = np.zeros((count, (sh_degree + 1) ** 2, 3), np.float32)
    sh[:, 0] = (colours / 255 - 0.5) / SH0
    columns = {
        "means": means,
        "quats": np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
        "scales": np.repeat(np.log(size)[:, None], 3, axis=1),
        "opacities": np.full(count, np.log(OPACITY / (1 - OPACITY))),
        "sh": sh,
    }
    return {name: torch.from_numpy(np.array(column, np.float32)).to(device) for name, column in columns.items()}
