"""Whose each mask is: the cluster that fills most of it. And what Gaussians that no view shows are filled with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from backend.compiled import kernel
from backend.lift.votes import Evidence

BACKGROUND_IN_MASK = 0.3
"""What a background Gaussian counts in a mask: most of those seen in a mask lie behind the object or at its edge."""

CLOSE = 3.0
"""How far off a neighbour counts as close by, in typical distances to the farthest of the k nearest."""
SAMPLE = 20_000


def mask_owners(evidence: Evidence, cluster: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the (M + 1,) int32 cluster that fills most of each mask; 0 where that is the background.

    Args:
        evidence: the votes.
        cluster: (N,) int32, clusters 1, 2, ...; 0 background; -1 for Gaussians that are counted in none.
    """
    start, entries = evidence.by_mask
    return _owners(start, entries, evidence.gaussian, evidence.own, cluster, int(cluster.max(initial=0)) + 1)


@kernel()
def _owners(start, entries, gaussian, own, cluster, clusters):  # pragma: no cover - compiled
    masks = len(start) - 1
    owner = np.zeros(masks, np.int32)
    sums = np.zeros(clusters, np.float64)
    for m in range(1, masks):
        for e in entries[start[m] : start[m + 1]]:
            c = cluster[gaussian[e]]
            if c >= 0:
                sums[c] += own[e] if c > 0 else own[e] * BACKGROUND_IN_MASK
        best = 0.0
        for e in entries[start[m] : start[m + 1]]:
            c = cluster[gaussian[e]]
            if c >= 0 and (sums[c] > best or (sums[c] == best and c < owner[m])):
                best = sums[c]
                owner[m] = c
        for e in entries[start[m] : start[m + 1]]:
            c = cluster[gaussian[e]]
            if c >= 0:
                sums[c] = 0.0
    return owner


def presence(evidence: Evidence, cluster: NDArray[np.int32], owner: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return (C + 1,) float64, in what share of the views that show it each cluster has a mask of its own.

    Entry 0 is 1. A view shows a cluster if it gives it at least a tenth of the weight that it has in its best view.
    """
    clusters = int(cluster.max(initial=0)) + 1
    shown = np.zeros((clusters, evidence.views))
    inside = np.maximum(cluster, 0)
    _add_totals(evidence.gaussian, evidence.view, evidence.total, inside, shown)
    visible = shown > 0.1 * shown.max(1, initial=0, keepdims=True)
    owned = np.zeros((clusters, evidence.views), bool)
    owned[owner[1:], evidence.mask_view[1:]] = True
    share = (owned & visible).sum(1) / np.maximum(visible.sum(1), 1)
    share[0] = 1.0
    return share


@kernel()
def _add_totals(gaussian, view, total, cluster, out):  # pragma: no cover - compiled
    for e in range(len(view)):
        out[cluster[gaussian[e]], view[e]] += total[e]


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
