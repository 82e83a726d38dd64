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
LEAST_FIT = 0.5, 0.7
"""A whole that masks which hold it fit more rarely is background: a small one, and one that fills much of a view."""
LARGE = 0.05
"""Share of the picture that a whole fills in its best view, from which on it is large."""
IN_PLANE = 0.6
"""A whole lies in the planes if this share of it does."""
SMALL = 0.1
"""A whole in the planes is a thing of its own if it is at most this share of what lies in them ..."""
SURE_FIT = 0.8
"""... and masks that hold it fit it in this share of the views."""


def in_planes(
    splats: Splats, cameras: Sequence[Camera], device: str, seed: int, progress: Progress = silent
) -> tuple[NDArray[np.bool_], list[Plane]]:
    """Return (N,) bool, the Gaussians in or behind the planes that bound the scene, and the planes."""
    samples = seen_samples(splats, evenly_spread(cameras, VIEWS), device, progress)
    surface = voxels(samples)
    planes = bounding_planes(surface.points, surface.normals, surface.counts, surface.edge, np.random.default_rng(seed))
    inside = np.zeros(len(splats), bool)
    means = splats.means.astype(np.float64)
    for plane in planes:
        inside |= plane.height(means) < max(plane.tolerance, CLEARANCE * surface.edge)
    return inside, planes


def background_wholes(
    overlap: Overlap,
    whole: NDArray[np.int32],
    weight: NDArray[np.float64],
    inside: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return (C,) bool, which wholes are background.

    Args:
        overlap: of the masks and the wholes.
        whole: (N,) int32, the whole of each Gaussian from 0, -1 for none.
        weight: (N,) float64, what the views show of each Gaussian.
        inside: (N,) bool, which lie in a plane that bounds the scene.
    """
    fit = overlap.fitted()
    large = overlap.shown.max(1, initial=0) >= LARGE * overlap.shown.sum(0).max(initial=0)
    least = np.where(large, LEAST_FIT[1], LEAST_FIT[0])
    known = whole >= 0
    count = len(fit)
    size = np.bincount(whole[known], weight[known], count)
    lies = np.bincount(whole[known], (weight * inside)[known], count) >= IN_PLANE * size
    small = size <= SMALL * max(float(size[lies].sum()), 1e-12)
    return (fit < least) | (lies & ~(small & (fit >= SURE_FIT)))
