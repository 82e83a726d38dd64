"""Positions of the first Gaussians: sparse points of the capture, and surface points from a depth sweep."""

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
from backend.render.in_image import in_image
from backend.scene.types import Camera
from protocol.sh import SH0

log = logging.getLogger(__name__)

FEWEST = 100
"""A capture with fewer visible sparse points is treated as one without, because they do not outline the scene."""

STRAY = 1e4
"""Sparse points further from the centre than this many times the median distance are dropped as false matches."""

LOOKED_AT = 1000
"""Most points that are tested for visibility."""

CELLS = 8
"""Cells along the longer side of a photograph, for the coverage by sparse points."""

BARE = 0.2
"""Share of cells without a sparse point above which surfaces are searched too. Photographs of a corridor have 0.29:
surfaces gain 3.9 dB and 10 points of panoptic quality there. Photographs of fruit on a mattress have 0.12: surfaces
found under changing light cost 0.5 dB and 4 points there. See docs/benchmarks.md."""

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

    Sparse points exist only at features, so smooth walls and floors have none. If large parts of the photographs have
    no point (:data:`BARE`), surface points found in them fill the number up to ``most``.

    Args:
        points, colours: the sparse points of the scene; non-finite points and outliers are dropped.
        photos: searched for surfaces; small ones are enough. They are the only source if too few sparse points are
            visible.
        most: of more points, a random subset is used.
        seed: random seed.
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
    """Return (P,) bool, which points are finite and not outliers."""
    usable = np.isfinite(points).all(1)
    if usable.any():
        with np.errstate(over="ignore"):
            away = np.linalg.norm(points - np.median(points[usable], axis=0), axis=1)
        usable &= away <= STRAY * np.median(away[usable])
    return usable


def _shown(points: NDArray[np.float32], cameras: Sequence[Camera], seed: int) -> int:
    """Return about how many distinct points lie inside some photograph, including hidden ones."""
    count = min(len(points), LOOKED_AT)
    some = points[np.random.default_rng(seed).choice(len(points), count, replace=False)]
    shown = np.zeros(count, bool)
    for camera in cameras:
        shown |= in_image(some, camera)[0]
    return round(len(points) / count * len(np.unique(some[shown], axis=0)))


def bare_share(points: NDArray[np.float32], cameras: Sequence[Camera]) -> float:
    """Return the mean over cameras of the share of :data:`CELLS` without any point, including hidden ones."""
    shares = []
    for camera in cameras:
        inside, _ = in_image(points, camera)
        seen = camera.from_world(points[inside])
        pixel = seen @ camera.K.T
        size = np.array([camera.height, camera.width])
        # Rounded, so that no cell is a narrow strip that would hardly contain a point.
        grid = np.maximum(1, np.round(CELLS * size / size.max()).astype(int))
        cells = np.zeros(grid, bool)
        cells[tuple((pixel[:, (1, 0)] / pixel[:, 2:] / size * grid).astype(int).clip(0, grid - 1).T)] = True
        shares.append(1 - cells.mean())
    return float(np.mean(shares))


def viewing_distance(points: NDArray[np.float32], cameras: Sequence[Camera]) -> float:
    """Return the median over cameras of the median depth of the points inside the image, in scene units.

    Step sizes and size limits of Gaussians are relative to this length. If no camera sees a point, it is the median
    distance of the points from the first camera.
    """
    depths = []
    for camera in cameras:
        inside, depth = in_image(points, camera)
        if inside.any():
            depths.append(np.median(depth[inside]))
    if depths:
        return float(np.median(depths))
    return max(float(np.median(np.linalg.norm(points - cameras[0].centre, axis=1))), 1e-3)


def gaussians_at(points: Points, distance: float, sh_degree: int, device: str) -> Columns:
    """Return columns, as in Splats, of spherical Gaussians at ``points``, about as large as the distance to their
    neighbours.

    Args:
        distance: :func:`viewing_distance`; sizes are limited to 0.0009 to 0.09 of it and to three times the median, so
            that coincident or isolated points do not make Gaussians that training cannot correct.
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
