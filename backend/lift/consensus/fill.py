"""Labels Gaussians that no view shows, by their neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

CLOSE = 3.0
"""Factor on the typical distance to the k-th neighbour, within which a neighbour counts as close."""
SAMPLE = 20_000


def fill_from_neighbours(
    means: NDArray[np.float32], label: NDArray[np.int32], known: NDArray[np.bool_], k: int = 5
) -> NDArray[np.int32]:
    """Return ``label`` (N,) int32 with Gaussians outside ``known`` set to the most frequent label of their k nearest.

    Ties go to the lowest label. Without known labels, nothing is changed. Gaussians far from all known ones,
    behind walls or inside objects, use a sample of :data:`SAMPLE` Gaussians. The result is about as good, and an exact
    search would be slow because many neighbours are about equally near.
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
    """Return (L, k), the Gaussians of ``rows`` nearest to each of ``lost``, within a factor of 1 + ``eps``."""
    _, near = KDTree(means[rows]).query(means[lost], k=k, eps=eps, workers=-1)
    return rows[np.asarray(near).reshape(len(lost), k)]


def _nearest_or_so(means: NDArray[np.float32], rows: NDArray, lost: NDArray, k: int) -> NDArray[np.int64]:
    """As :func:`_nearest` for more than SAMPLE Gaussians; exact only if k of them are close."""
    tree = KDTree(means[rows])
    sample = rows[:: -(-len(rows) // SAMPLE)]
    spacing = np.median(np.asarray(tree.query(means[sample[:: max(1, len(sample) // 2000)]], k=k + 1)[0])[:, -1])
    _, found = tree.query(means[lost], k=k, distance_upper_bound=float(CLOSE * spacing), workers=-1)
    found = np.asarray(found).reshape(len(lost), k)
    off = found[:, -1] == len(rows)
    near = rows[np.minimum(found, len(rows) - 1)]
    near[off] = _nearest(means, sample, lost[off], k, eps=0.5)
    return near
