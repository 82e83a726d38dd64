"""Closes a field in unseen regions: points in the convex hull of the seen surface are inside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import ConvexHull, QhullError

from backend.objects.mesh.fusion import TRUNCATION, Field

COARSE = 4
"""Step in grid points at which the distance to the hull is computed; in between it is interpolated."""

ROWS = 1 << 11
"""Grid points whose distances to the planes of the hull are computed at once."""

CORNERS = 400
"""Most points of the hull: more of them add planes, but hardly change it."""


def close(field: Field, surface: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the distances (X, Y, Z) of the field; unseen grid points get the distance to the convex hull.

    If an object rests on another, the hull continues its walls to the plane on which they end.

    Args:
        surface: (P, 3), points of the seen surface, scene units. If they are coplanar, everything unseen is outside.
    """
    closed = np.where(field.seen, field.distance, np.float32(1))
    planes = _hull(surface)
    if planes is None:
        return closed
    # The distance to a convex body is smooth except at its edges, so a coarse grid is enough.
    steps = [np.arange(0, n + COARSE - 1, COARSE) for n in closed.shape]
    points = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 3).astype(np.float32)
    # In units of the truncation, from grid steps: float32 is then precise enough wherever the scene is.
    normals = (planes[:, :3] / TRUNCATION).astype(np.float32)
    offsets = ((planes[:, :3] @ field.low + planes[:, 3]) / (TRUNCATION * field.cell)).astype(np.float32)
    beyond = np.concatenate([(points[n : n + ROWS] @ normals.T + offsets).max(1) for n in range(0, len(points), ROWS)])
    unseen = np.nonzero(~field.seen)
    coarse = beyond.reshape([len(each) for each in steps])
    closed[unseen] = np.clip(map_coordinates(coarse, np.stack(unseen) / COARSE, order=1, mode="nearest"), -1, 1)
    return closed


def _hull(points: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the planes (F, 4) of the convex hull, with outward normals; None if the points span no volume."""
    try:
        corners = points[ConvexHull(points).vertices]
        if len(corners) > CORNERS:
            corners = corners[np.random.default_rng(0).choice(len(corners), CORNERS, replace=False)]
        return np.unique(ConvexHull(corners).equations.round(9), axis=0)
    except (QhullError, ValueError):
        return None
