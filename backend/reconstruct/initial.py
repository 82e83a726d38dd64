"""Where the first Gaussians lie: at the capture's sparse points, and on surfaces found by sweeping depths."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree

from backend.progress import Progress, silent
from backend.reconstruct.optimiser import Columns
from backend.reconstruct.photographs import Photograph
from backend.reconstruct.sweep import surface_points
from backend.render.model import NEAR
from backend.scene.types import Camera
from protocol.sh import SH0

log = logging.getLogger(__name__)

FEWEST = 100
"""A capture with fewer sparse points in its photographs is treated as one without: they would not outline a scene."""

STRAY = 1e4
"""Sparse points farther from the middle of all than this many times the median are left out: chance matches."""

LOOKED_AT = 1000
"""Points, at most, of which it is counted how many lie in a photograph."""

CELLS = 8
"""Cells along the longer side of a photograph, in which sparse points are searched for."""

BARE = 0.2
"""Share of cells without a sparse point above which surfaces are sought as well. Photographs of a corridor have
0.29: surfaces are worth 3.9 dB and 10 points of panoptic quality there. Photographs of fruit on a mattress have 0.12:
surfaces found in light that changes cost 0.5 dB and 4 points there. See docs/benchmarks.md."""

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

    Sparse points lie where features are, and a smooth wall or floor has none. Where large parts of the photographs
    show no point (:data:`BARE`), points of surfaces found in them fill the number up to ``most``.

    Args:
        points, colours: the sparse points of the scene; points that are not finite or far astray are left out.
        photos: searched for surfaces, and alone where too few points lie in them; small ones will do.
        most: a random choice is made of more points than this.
        seed: of that choice and of the search.
    """
    usable = _together(points)
    points, colours = points[usable], colours[usable]
    if len(points) < FEWEST or _shown(points, [photo.camera for photo in photos], seed) < FEWEST:
        if len(points) >= FEWEST:
            log.warning("There are too few sparse points; surfaces are estimated from the photographs instead.")
        return surface_points(photos, most, seed, progress)
    if len(points) > most:
        chosen = np.random.default_rng(seed).choice(len(points), most, replace=False)
        points, colours = points[chosen], colours[chosen]
    if len(points) == most or bare_share(points, [photo.camera for photo in photos]) <= BARE:
        return points.astype(np.float32), colours
    surfaces, their_colours = surface_points(photos, most - len(points), seed, progress)
    return np.concatenate([points.astype(np.float32), surfaces]), np.concatenate([colours, their_colours])


def _together(points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(P,) bool, which points are finite and not astray."""
    usable = np.isfinite(points).all(1)
    if usable.any():
        with np.errstate(over="ignore"):
            away = np.linalg.norm(points - np.median(points[usable], axis=0), axis=1)
        usable &= away <= STRAY * np.median(away[usable])
    return usable


def _shown(points: NDArray[np.float32], cameras: Sequence[Camera], seed: int) -> int:
    """About how many different points lie in a photograph, hidden ones included."""
    count = min(len(points), LOOKED_AT)
    some = points[np.random.default_rng(seed).choice(len(points), count, replace=False)]
    shown = np.zeros(count, bool)
    for camera in cameras:
        shown |= _inside(some, camera)[0]
    return round(len(points) / count * len(np.unique(some[shown], axis=0)))


def _inside(points: NDArray[np.float32], camera: Camera) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """(P,) bool, which points lie in the photograph of ``camera``, and (P,) their depths."""
    seen = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    depth = seen[:, 2]
    pixel = seen @ camera.K.T
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = pixel[:, 0] / pixel[:, 2], pixel[:, 1] / pixel[:, 2]
    return (depth > NEAR) & (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height), depth


def bare_share(points: NDArray[np.float32], cameras: Sequence[Camera]) -> float:
    """Return the mean over cameras of the share of their :data:`CELLS` in which no point lies, hidden ones included."""
    shares = []
    for camera in cameras:
        inside, _ = _inside(points, camera)
        seen = points[inside] @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
        pixel = seen @ camera.K.T
        size = np.array([camera.height, camera.width])
        # Rounded, so that no cell is a sliver, in which no point would lie.
        grid = np.maximum(1, np.round(CELLS * size / size.max()).astype(int))
        cells = np.zeros(grid, bool)
        cells[tuple((pixel[:, (1, 0)] / pixel[:, 2:] / size * grid).astype(int).clip(0, grid - 1).T)] = True
        shares.append(1 - cells.mean())
    return float(np.mean(shares))


def viewing_distance(points: NDArray[np.float32], cameras: Sequence[Camera]) -> float:
    """Return the median over cameras of the median depth of the points inside the image, in scene units.

    It is the length that step sizes and size limits of Gaussians are measured by. Where no camera sees a point it is
    the median distance of the points from the first camera.
    """
    depths = []
    for camera in cameras:
        inside, depth = _inside(points, camera)
        if inside.any():
            depths.append(np.median(depth[inside]))
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
