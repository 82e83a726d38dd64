"""Closes a field in unseen regions: points within the convex hull of the seen surface are inside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import ConvexHull, QhullError

from backend.objects.mesh.fusion import TRUNCATION, Field

COARSE = 4
"""Grid points from one at which the distance to the hull is computed to the next."""

ROWS = 1 << 11
"""Grid points whose distances to the planes of the hull are computed at once."""

CORNERS = 400
"""Points that the hull is made of, at most: each further one adds planes and little else."""


def close(field: Field, surface: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return distances (X, Y, Z) as of the field, those of unseen grid points being the distances to the hull.

    Where an object stands on another, the hull continues the seen walls to the plane on which they end.

    Args:
        surface: (P, 3), of the seen surface, scene units. Where they lie in a plane, what is unseen is outside.
    """
    closed = np.where(field.seen, field.distance, np.float32(1))
    planes = _hull(surface)
    if planes is None:
        return closed
    # The distance to a convex body is smooth but for its edges: every few grid points say enough.
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
    """The planes (F, 4) of the convex hull, normals outwards; None where the points span no volume."""
    try:
        corners = points[ConvexHull(points).vertices]
        if len(corners) > CORNERS:
            corners = corners[np.random.default_rng(0).choice(len(corners), CORNERS, replace=False)]
        return np.unique(ConvexHull(corners).equations.round(9), axis=0)
    except (QhullError, ValueError):
        return None
