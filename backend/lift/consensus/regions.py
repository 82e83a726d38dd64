"""Regions of neighbouring Gaussians: neighbour pairs and connected pieces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

NEIGHBOURS = 8


def code_regions(
    means: NDArray[np.float32], codes: NDArray[np.int64], possible: NDArray[np.bool_], smallest: int
) -> NDArray[np.int32]:
    """Return the connected pieces of equal codes among spatial neighbours.

    Two distant objects with the same code thus become two regions. Losses within one view cannot separate objects that
    no view shows together, so they may share a code.

    Args:
        means: (N, 3) float32, centres.
        codes: (N,) int64.
        possible: (N,) bool, the Gaussians to group.
        smallest: pieces with fewer Gaussians are dropped.

    Returns:
        (N,) int32, regions 0, 1, ...; -1 for Gaussians in none.
    """
    region = np.full(len(means), -1, np.int32)
    rows = np.flatnonzero(possible)
    if len(rows) <= 1:
        return keep_large(region, rows, np.zeros(len(rows), np.int64), smallest)
    first, second, _ = neighbour_pairs(means[rows])
    same = codes[rows][first] == codes[rows][second]
    return keep_large(region, rows, connected_pieces(first[same], second[same], len(rows)), smallest)


def neighbour_pairs(means: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
    """Return pairs of each of at least two points with its nearest, and the median distance to the fourth nearest."""
    k = min(NEIGHBOURS, len(means) - 1)
    distance, near = (np.asarray(column) for column in KDTree(means).query(means, k=k + 1, workers=-1))
    first = np.repeat(np.arange(len(means)), k)
    return first, near[:, 1:].ravel(), float(np.median(distance[:, min(4, k)]))


def connected_pieces(first: NDArray[np.int64], second: NDArray[np.int64], count: int) -> NDArray[np.int32]:
    """Return (count,) int32, the connected piece of each point, for linked pairs (E,) of points."""
    edges = coo_matrix((np.ones(len(first), np.int8), (first, second)), shape=(count, count))
    return connected_components(edges, directed=False)[1]


def keep_large(region: NDArray[np.int32], rows: NDArray, component: NDArray, smallest: int) -> NDArray[np.int32]:
    """Set ``rows`` of ``region`` to the number of their piece, -1 for pieces smaller than ``smallest``; return it."""
    size = np.bincount(component)
    number = np.where(size >= smallest, np.cumsum(size >= smallest) - 1, -1)
    region[rows] = number[component]
    return region
