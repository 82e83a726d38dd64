"""Colours of a surface from the cameras of the capture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import KDTree

from backend.objects.mesh.object_views import ObjectView
from backend.render import Renderer

SHARPNESS = 4
"""Exponent of the cosine between surface and view in the weight of a view: frontal views show most detail."""

NEAREST = 4
"""Number of seen points that an unseen point gets its colour from."""


def colours_of(
    points: NDArray[np.float64],
    normals: NDArray[np.float64],
    views: Sequence[ObjectView],
    renderer: Renderer,
    slack: float,
) -> NDArray[np.uint8]:
    """Return the colours (P, 3), sRGB, of points on an object's surface.

    Points that no camera of the capture sees get the colours of their nearest seen points; grey if no point is seen.

    Args:
        points: (P, 3), scene units.
        normals: (P, 3), unit length, outwards.
        renderer: of the whole scene.
        slack: largest distance of a point from the surface that a view shows, scene units.
    """
    total, weight = np.zeros((len(points), 3)), np.zeros(len(points))
    for look in views:
        if not look.captured:
            continue
        rows, at, share = _seen(points, normals, look, slack)
        if not len(rows):
            continue
        image = renderer.image(look.camera).clip(0, 1)
        found = np.stack([map_coordinates(image[..., c], at, order=1, mode="nearest") for c in range(3)], 1)
        total[rows] += share[:, None] * found
        weight[rows] += share
    seen = weight > 0
    if not seen.any():
        return np.full((len(points), 3), 128, np.uint8)
    colours = total / np.maximum(weight, 1e-12)[:, None]
    if not seen.all():
        near = min(NEAREST, int(seen.sum()))
        _, index = KDTree(points[seen]).query(points[~seen], k=near)
        colours[~seen] = colours[seen][index.reshape(-1, near)].mean(1)
    return np.round(255 * colours.clip(0, 1)).astype(np.uint8)


def _seen(
    points: NDArray[np.float64], normals: NDArray[np.float64], look: ObjectView, slack: float
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the points that a view shows: indices (R,), image rows and columns (2, R), and weights (R,)."""
    camera = look.camera
    there = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    z = np.maximum(there[:, 2], 1e-12)
    column = camera.K[0, 0] * there[:, 0] / z + camera.K[0, 2]
    row = camera.K[1, 1] * there[:, 1] / z + camera.K[1, 2]
    away = camera.centre - points
    cosine = (normals * away).sum(1) / np.maximum(np.linalg.norm(away, axis=1), 1e-12)
    inside = (
        (there[:, 2] > 0) & (column > 0) & (row > 0) & (column < camera.width) & (row < camera.height) & (cosine > 0)
    )
    rows = np.flatnonzero(inside)
    depth = look.depth[row[rows].astype(int), column[rows].astype(int)]
    rows = rows[(depth > 0) & (np.abs(depth - there[rows, 2]) * cosine[rows] < slack)]
    return rows, np.stack([row[rows] - 0.5, column[rows] - 0.5]), cosine[rows] ** SHARPNESS
