"""Which wholes are background: floor, walls, ceiling and sky, which a model that segments everything cuts into pieces.

Two things tell. Of a thing most views have a mask that fits it; pieces of a floor are cut elsewhere in each view, so no
mask of another view fits what they make together. And what lies in a plane that bounds the scene is background however
well its masks fit, unless it is a small part of that plane, as a sheet of paper on the floor is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.geometry.planes import Plane, bounding_planes
from backend.geometry.surface import seen_samples, voxels
from backend.levels.overlap import Overlap
from backend.progress import Progress, silent
from backend.scene.split import evenly_spread
from backend.scene.types import Camera
from protocol.splats import Splats

VIEWS = 24
"""Views whose surfaces the planes are drawn through."""
CLEARANCE = 0.6
"""What is nearer to a bounding plane belongs to it, in edges of voxels, beyond the plane's own noise."""
FITS = 0.5
"""A mask fits a whole from this intersection over union on."""
LEAST_FIT = 0.35
"""A whole that a mask fits in a smaller share of its views is background."""
IN_PLANE = 0.6
"""A whole lies in the planes if this share of it does."""
SMALL = 0.1
"""A whole in the planes is a thing of its own if it is at most this share of what lies in them ..."""
SURE_FIT = 0.6
"""... and a mask fits it in this share of its views."""
LEAST_GAUSSIANS = 20
"""Of a whole that may be a plane."""
THIN = 0.1
"""Noise of a plane over its width, both as standard deviations, at most."""
DEPTH = 0.1
"""What is less far behind a plane than this share of its width is noise."""
NOTHING = 0.02
"""Share of all that is seen that may lie behind a plane that bounds the scene."""


def in_planes(
    splats: Splats, cameras: Sequence[Camera], device: str, seed: int, progress: Progress = silent
) -> tuple[NDArray[np.bool_], list[Plane]]:
    """Return (N,) bool, the Gaussians in or behind the planes that bound the scene, and the planes."""
    samples = seen_samples(splats, evenly_spread(cameras, VIEWS), device, progress)
    surface = voxels(samples)
    planes = bounding_planes(surface.points, surface.normals, surface.edge, np.random.default_rng(seed))
    inside = np.zeros(len(splats), bool)
    means = splats.means.astype(np.float64)
    for plane in planes:
        inside |= plane.height(means) < max(plane.tolerance, CLEARANCE * surface.edge)
    return inside, planes


def bounds(
    means: NDArray[np.float32], whole: NDArray[np.int32], weight: NDArray[np.float64], cameras: Sequence[Camera]
) -> NDArray[np.bool_]:
    """Return (C,) bool, which wholes are flat and have nothing behind them, as seen from most cameras.

    A wall of which views show too little to be one of the planes of the scene is found in this way.

    Args:
        means: (N, 3) float32, centres.
        whole: (N,) int32, from 0, -1 for none.
        weight: (N,) float64, what the views show of each Gaussian.
        cameras: which side is the front.
    """
    centres = np.array([camera.centre for camera in cameras])
    points = means.astype(np.float64)
    total = float(weight.sum())
    found = np.zeros(int(whole.max(initial=-1)) + 1, bool)
    for number in range(len(found)):
        rows = np.flatnonzero((whole == number) & (weight > 0))
        if len(rows) < LEAST_GAUSSIANS:
            continue
        middle = np.average(points[rows], axis=0, weights=weight[rows])
        apart = points[rows] - middle
        values, axes = np.linalg.eigh((apart * weight[rows, None]).T @ apart / weight[rows].sum())
        normal = axes[:, 0]
        if np.median((centres - middle) @ normal) < 0:
            normal = -normal
        width = np.sqrt(max(values[1], 1e-300))
        deviation = 1.4826 * np.median(np.abs(apart @ normal))
        behind = (points - middle) @ normal < -max(DEPTH * width, 3 * deviation)
        found[number] = deviation < THIN * width and weight[behind & (whole != number)].sum() < NOTHING * total
    return found


def background_wholes(
    overlap: Overlap,
    whole: NDArray[np.int32],
    weight: NDArray[np.float64],
    inside: NDArray[np.bool_],
    flat: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return (C,) bool, which wholes are background.

    Args:
        overlap: of the masks and the wholes.
        whole: (N,) int32, the whole of each Gaussian from 0, -1 for none.
        weight: (N,) float64, what the views show of each Gaussian.
        inside: (N,) bool, which lie in a plane that bounds the scene.
        flat: (C,) bool, wholes that are such a plane.
    """
    fit = overlap.fitted(FITS)
    known = whole >= 0
    count = len(fit)
    size = np.bincount(whole[known], weight[known], count)
    lies = flat | (np.bincount(whole[known], (weight * inside)[known], count) >= IN_PLANE * size)
    small = size <= SMALL * max(float(size[lies].sum()), 1e-12)
    return (fit < LEAST_FIT) | (lies & ~(small & (fit >= SURE_FIT)))
