"""Decides which objects are background: floor, walls, ceiling and sky, which segment-everything models cut into pieces.

There are two criteria. An object has a fitting mask in most views, while a floor is cut differently in each view, so
that no mask of another view fits the combined pieces. And everything in a plane that bounds the scene is background
however well its masks fit, unless it is a small part of that plane, such as a sheet of paper on the floor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.geometry.planes import Plane, bounding_planes
from backend.geometry.surface import seen_samples, voxels
from backend.levels.overlap import Overlap
from backend.progress import silent
from backend.scene.split import evenly_spread
from backend.scene.types import Camera
from protocol.splats import Splats

VIEWS = 24
"""Views used to find the planes."""
CLEARANCE = 0.6
"""Surface nearer to a bounding plane belongs to it, in voxel edges beyond the plane's own noise."""
LEAST_FIT = 0.5, 0.7
"""An object is background if fewer of the masks that contain it fit it: thresholds for small and for large ones."""
LARGE = 0.05
"""Least share of the image that a large object covers in its best view."""
IN_PLANE = 0.6
"""An object is in the planes if this share of it is."""
SMALL = 0.1
"""An object in the planes is kept if it is at most this share of everything in them ..."""
SURE_FIT = 0.8
"""... and in this share of the views the masks that contain it fit it."""


def in_planes(
    splats: Splats, cameras: Sequence[Camera], device: str, seed: int
) -> tuple[NDArray[np.bool_], list[Plane]]:
    """Return (N,) bool, the Gaussians in or behind the planes that bound the scene, and the planes."""
    samples = seen_samples(splats, evenly_spread(cameras, VIEWS), device, silent)
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
    """Return (C,) bool, which objects are background.

    Args:
        overlap: of the masks and the objects.
        whole: (N,) int32, the object of each Gaussian from 0, -1 for none.
        weight: (N,) float64, the weight of each Gaussian in the views.
        inside: (N,) bool, whether it lies in a plane that bounds the scene.
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
