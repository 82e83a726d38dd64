"""Labels of Gaussians that no view shows: those of their neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

CLOSE = 3.0
"""How far off a neighbour counts as close by, in typical distances to the farthest of the k nearest."""
SAMPLE = 20_000


def fill_from_neighbours(
    means: NDArray[np.float32], label: NDArray[np.int32], known: NDArray[np.bool_], k: int = 5
) -> NDArray[np.int32]:
    """Return ``label`` (N,) int32 with the Gaussians outside ``known`` given the commonest label of their k nearest.

    Of equally common labels the lowest wins. Where nothing is known, all stay as they are. What lies off everything
    known, behind walls and inside objects, is filled from a sample of :data:`SAMPLE` Gaussians, about as well: from
    there many are about equally near, and to tell them apart takes longer the more there are.
    """
    rows = np.flatnonzero(known)
    lost = np.flatnonzero(~known)
    if len(rows) == 0 or len(lost) == 0:
        return label
    k = min(k, len(rows))
    near = _nearest(means, rows, lost, k) if len(rows) <= SAMPLE else _nearest_or_so(means, rows, lost, k)
    candidates = label[near]
    count = (candidates[:, :, None] == candidates[:, None, :]).sum(2)
    commonest = np.where(count == count.max(1, keepdims=True), candidates, np.iinfo(np.int32).max).min(1)
    filled = label.copy()
    filled[lost] = commonest
    return filled


def _nearest(means: NDArray[np.float32], rows: NDArray, lost: NDArray, k: int, eps: float = 0.0) -> NDArray[np.int64]:
    """(L, k), of the Gaussians ``rows`` those nearest to each of ``lost``, or at most 1 + ``eps`` times as far."""
    _, near = KDTree(means[rows]).query(means[lost], k=k, eps=eps, workers=-1)
    return rows[np.asarray(near).reshape(len(lost), k)]


def _nearest_or_so(means: NDArray[np.float32], rows: NDArray, lost: NDArray, k: int) -> NDArray[np.int64]:
    """As :func:`_nearest` of more than SAMPLE Gaussians, exact where k of them are close by."""
    tree = KDTree(means[rows])
    sample = rows[:: -(-len(rows) // SAMPLE)]
    spacing = np.median(np.asarray(tree.query(means[sample[:: max(1, len(sample) // 2000)]], k=k + 1)[0])[:, -1])
    _, found = tree.query(means[lost], k=k, distance_upper_bound=float(CLOSE * spacing), workers=-1)
    found = np.asarray(found).reshape(len(lost), k)
    off = found[:, -1] == len(rows)
    near = rows[np.minimum(found, len(rows) - 1)]
    near[off] = _nearest(means, sample, lost[off], k, eps=0.5)
    return near
