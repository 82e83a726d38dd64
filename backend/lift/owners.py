"""Masks and clusters choose one another: each mask belongs to the cluster that fills it, and votes for it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.spatial import KDTree

from backend.lift.votes import Evidence

BACKGROUND_IN_MASK = 0.3
"""What a background Gaussian counts in a mask: most of those seen in a mask lie behind the object or at its edge."""


class Owners(NamedTuple):
    """Whose each mask is.

    Attributes:
        cluster: (M + 1,) int32, the cluster that fills most of the mask; 0 where that is the background.
        purity: (M + 1,) float32, its share of what clusters and background fill.
    """

    cluster: NDArray[np.int32]
    purity: NDArray[np.float32]


def mask_owners(evidence: Evidence, cluster: NDArray[np.int32]) -> Owners:
    """Return whose each mask is, given (N,) int32 clusters: 1, 2, ..., 0 background, -1 nothing known."""
    start, entries = evidence.by_mask
    return Owners(*_owners(start, entries, evidence.gaussian, evidence.own, cluster, int(cluster.max(initial=0)) + 1))


@njit(cache=True)
def _owners(start, entries, gaussian, own, cluster, clusters):  # pragma: no cover - compiled
    masks = len(start) - 1
    owner = np.zeros(masks, np.int32)
    purity = np.zeros(masks, np.float32)
    sums = np.zeros(clusters, np.float64)
    for m in range(1, masks):
        every = 0.0
        for e in entries[start[m] : start[m + 1]]:
            c = cluster[gaussian[e]]
            if c >= 0:
                w = own[e] if c > 0 else own[e] * BACKGROUND_IN_MASK
                sums[c] += w
                every += w
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
        if every > 0:
            purity[m] = best / every
    return owner, purity


def vote_by_masks(evidence: Evidence, owners: Owners) -> NDArray[np.int32]:
    """Return (N,) int32, the cluster whose masks hold most of each Gaussian's weight; 0 where no such mask does."""
    clusters = int(owners.cluster.max(initial=0)) + 1
    return _vote(evidence.start, evidence.mask, evidence.own, owners.cluster, owners.purity, clusters)


@njit(cache=True)
def _vote(start, mask, own, owner, purity, clusters):  # pragma: no cover - compiled
    n = len(start) - 1
    out = np.zeros(n, np.int32)
    sums = np.zeros(clusters, np.float64)
    for i in range(n):
        best = 0.0
        for e in range(start[i], start[i + 1]):
            c = owner[mask[e]]
            if c > 0:
                sums[c] += own[e] * purity[mask[e]]
        for e in range(start[i], start[i + 1]):
            c = owner[mask[e]]
            if c > 0 and (sums[c] > best or (sums[c] == best and c < out[i])):
                best = sums[c]
                out[i] = c
        for e in range(start[i], start[i + 1]):
            sums[owner[mask[e]]] = 0.0
    return out


def presence(evidence: Evidence, cluster: NDArray[np.int32], owners: Owners) -> NDArray[np.float64]:
    """Return (C + 1,) float64, in what share of the views that show it each cluster has a mask of its own.

    Entry 0 is 1. A view shows a cluster if it gives it at least a tenth of the weight that it has in its best view.
    """
    clusters = int(cluster.max(initial=0)) + 1
    shown = np.zeros((clusters, evidence.views))
    inside = np.maximum(cluster, 0)
    _add_totals(evidence.gaussian, evidence.view, evidence.total, inside, shown)
    visible = shown > 0.1 * shown.max(1, initial=0, keepdims=True)
    owned = np.zeros((clusters, evidence.views), bool)
    owned[owners.cluster[1:], evidence.mask_view[1:]] = True
    share = (owned & visible).sum(1) / np.maximum(visible.sum(1), 1)
    share[0] = 1.0
    return share


@njit(cache=True)
def _add_totals(gaussian, view, total, cluster, out):  # pragma: no cover - compiled
    for e in range(len(view)):
        out[cluster[gaussian[e]], view[e]] += total[e]


def fill_from_neighbours(
    means: NDArray[np.float32], label: NDArray[np.int32], known: NDArray[np.bool_], k: int = 5
) -> NDArray[np.int32]:
    """Return ``label`` (N,) int32 with the Gaussians outside ``known`` given the commonest label of their k nearest.

    Of equally common labels the lowest wins. Where nothing is known, all stay as they are.
    """
    rows = np.flatnonzero(known)
    lost = np.flatnonzero(~known)
    if len(rows) == 0 or len(lost) == 0:
        return label
    _, near = KDTree(means[rows]).query(means[lost], k=min(k, len(rows)), workers=-1)
    candidates = label[rows[np.asarray(near).reshape(len(lost), -1)]]
    count = (candidates[:, :, None] == candidates[:, None, :]).sum(2)
    commonest = np.where(count == count.max(1, keepdims=True), candidates, np.iinfo(np.int32).max).min(1)
    filled = label.copy()
    filled[lost] = commonest
    return filled
