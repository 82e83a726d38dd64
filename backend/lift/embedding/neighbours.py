"""Neighbours of Gaussians, and the extent of the scene."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree


def neighbours(means: NDArray[np.float32], radius: float, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the (N, k) int64 nearest other Gaussians and (N, k) float32, 1 if they are within ``radius``."""
    k = min(k, len(means) - 1)
    found = KDTree(means).query(means, k=k + 1, distance_upper_bound=radius, workers=-1)
    distance, near = (np.asarray(column)[:, 1:] for column in found)
    inside = np.isfinite(distance)
    return np.where(inside, near, 0), inside.astype(np.float32)


def scene_extent(means: NDArray[np.float32], seen: NDArray[np.bool_]) -> float:
    """Return the diagonal of the box of the middle nine tenths of the visible centres along each axis.

    A length unit of the scene that is robust to stray Gaussians.
    """
    low, high = np.percentile(means[seen] if seen.any() else means, [5, 95], axis=0)
    return max(math.dist(low, high), 1e-6)
