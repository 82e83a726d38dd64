"""Decides which objects are background: floor, walls, ceiling and sky, which segment-everything models cut into pieces.

There are three criteria. An object has a fitting mask in most views, while a floor is cut differently in each view, so
that no mask of another view fits the combined pieces. What the edges of the photographs mostly cut off, as they do a
wall behind the objects, needs fitting masks in nearly all views. And everything in a plane that bounds the scene is
background however well its masks fit, unless it is a small part of that plane, such as a sheet of paper on the floor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.geometry.planes import Plane
from backend.geometry.scene_planes import scene_planes
from backend.geometry.surface import seen_samples, voxels
from backend.levels.overlap import Overlap
from backend.progress import silent
from backend.render.in_image import in_image
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
CUT_OFF = 0.65
"""An object is cut off if on average less than this share of it lies inside the photographs that show it."""
CUT_OFF_FIT = 0.9
"""The threshold of :data:`LEAST_FIT` for an object that is cut off."""
IN_PLANE = 0.6
"""An object is in the planes if this share of it is."""
SMALL = 0.1
"""An object in the planes is kept if it is at most this share of everything in them ..."""
SURE_FIT = 0.8
"""... and in this share of the views the masks that contain it fit it."""


def in_planes(
    splats: Splats, cameras: Sequence[Camera], points: NDArray[np.floating] | None, device: str, seed: int
) -> tuple[NDArray[np.bool_], list[Plane]]:
    """Return (N,) bool, the Gaussians in or behind the planes that bound the scene, and the planes."""
    samples = seen_samples(splats, evenly_spread(cameras, VIEWS), device, silent)
    surface = voxels(samples)
    rng = np.random.default_rng(seed)
    planes = scene_planes(samples, surface, points, rng)
    inside = np.zeros(len(splats), bool)
    means = splats.means.astype(np.float64)
    for plane in planes:
        inside |= plane.height(means) < max(plane.tolerance, CLEARANCE * surface.edge)
    return inside, planes


def shares_in_picture(
    means: NDArray[np.float32],
    whole: NDArray[np.int32],
    weight: NDArray[np.float64],
    visible: NDArray[np.bool_],
    cameras: Sequence[Camera],
) -> NDArray[np.float64]:
    """Return (C,) float64, the share of each object that lies inside a photograph, the mean of those that show it.

    Args:
        means: (N, 3) float32, centres of the Gaussians, in the frame of the cameras.
        whole, weight: see :func:`background_wholes`.
        visible: (C, V) bool, which views show which objects.
        cameras: V cameras.
    """
    known = whole >= 0
    points, of_point, weights = means[known], whole[known], weight[known]
    size = np.maximum(np.bincount(of_point, weights, len(visible)), 1e-12)
    total = np.zeros(len(visible))
    for camera, shown in zip(cameras, visible.T, strict=True):
        inside, _ = in_image(points, camera)
        total += shown * np.bincount(of_point, weights * inside, len(visible)) / size
    return total / np.maximum(visible.sum(1), 1)


def background_wholes(
    overlap: Overlap,
    whole: NDArray[np.int32],
    weight: NDArray[np.float64],
    inside: NDArray[np.bool_],
    in_picture: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return (C,) bool, which objects are background.

    Args:
        overlap: of the masks and the objects.
        whole: (N,) int32, the object of each Gaussian from 0, -1 for none.
        weight: (N,) float64, the weight of each Gaussian in the views.
        inside: (N,) bool, whether it lies in a plane that bounds the scene.
        in_picture: (C,) float64, see :func:`shares_in_picture`.
    """
    fit = overlap.fitted()
    large = overlap.shown.max(1, initial=0) >= LARGE * overlap.shown.sum(0).max(initial=0)
    least = np.where(large, LEAST_FIT[1], LEAST_FIT[0])
    least = np.where(in_picture < CUT_OFF, CUT_OFF_FIT, least)
    known = whole >= 0
    count = len(fit)
    size = np.bincount(whole[known], weight[known], count)
    lies = np.bincount(whole[known], (weight * inside)[known], count) >= IN_PLANE * size
    small = size <= SMALL * max(float(size[lies].sum()), 1e-12)
    return (fit < least) | (lies & ~(small & (fit >= SURE_FIT)))
