"""Which cluster each mask shows, and in which share of its views a cluster has a mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.compiled import kernel
from backend.lift.evidence.votes import Evidence

BACKGROUND_IN_MASK = 0.3
"""Weight of background Gaussians in a mask; most of them lie behind the object or at its edge."""


def cluster_of_each_mask(evidence: Evidence, cluster: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the (M + 1,) int32 cluster that fills most of each mask; 0 for background.

    Args:
        evidence: the votes.
        cluster: (N,) int32, clusters 1, 2, ...; 0 background; -1 for Gaussians in none.
    """
    start, entries = evidence.by_mask
    return _cluster_of_each_mask(
        start, entries, evidence.gaussian, evidence.own, cluster, int(cluster.max(initial=0)) + 1
    )


@kernel()
def _cluster_of_each_mask(start, entries, gaussian, own, cluster, clusters):  # pragma: no cover - compiled
    masks = len(start) - 1
    found = np.zeros(masks, np.int32)
    sums = np.zeros(clusters, np.float64)
    for m in range(1, masks):
        for e in entries[start[m] : start[m + 1]]:
            c = cluster[gaussian[e]]
            if c >= 0:
                sums[c] += own[e] if c > 0 else own[e] * BACKGROUND_IN_MASK
        best = 0.0
        for e in entries[start[m] : start[m + 1]]:
            c = cluster[gaussian[e]]
            if c >= 0 and (sums[c] > best or (sums[c] == best and c < found[m])):
                best = sums[c]
                found[m] = c
        for e in entries[start[m] : start[m + 1]]:
            c = cluster[gaussian[e]]
            if c >= 0:
                sums[c] = 0.0
    return found


def presence(evidence: Evidence, cluster: NDArray[np.int32], mask_cluster: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return (C + 1,) float64, the share of the views showing each cluster in which it has a separate mask.

    Entry 0 is 1. ``mask_cluster`` is the result of :func:`cluster_of_each_mask`. A view shows a cluster if the cluster
    has at least a tenth of the weight in it that it has in its best view.
    """
    clusters = int(cluster.max(initial=0)) + 1
    shown = np.zeros((clusters, evidence.views))
    inside = np.maximum(cluster, 0)
    _add_totals(evidence.gaussian, evidence.view, evidence.total, inside, shown)
    visible = shown > 0.1 * shown.max(1, initial=0, keepdims=True)
    has_mask = np.zeros((clusters, evidence.views), bool)
    has_mask[mask_cluster[1:], evidence.mask_view[1:]] = True
    share = (has_mask & visible).sum(1) / np.maximum(visible.sum(1), 1)
    share[0] = 1.0
    return share


@kernel()
def _add_totals(gaussian, view, total, cluster, out):  # pragma: no cover - compiled
    for e in range(len(view)):
        out[cluster[gaussian[e]], view[e]] += total[e]
