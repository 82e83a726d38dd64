"""Agreement: how often the masks group a Gaussian with the members of a cluster.

In each view a cluster has a share in each mask, and a share in none: a missed object has all of its weight on mask 0, a
merged pair shares one mask, a split object has a share in each of two masks. A Gaussian agrees with a cluster in that
view by the share of the cluster in the Gaussian's own mask:

    agreement(i, k) = sum over views v, masks m of v (and 0) of  weight of i on m  *  share of k on m in v

So a view in which the object was missed supports the object and the background equally, as both are on mask 0; a view
in which two objects were merged supports both equally. The background is an additional cluster, number 0, and needs no
threshold. All pixels count equally, so near views, whose outlines are sharper in space, count more.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backend.compiled import kernel
from backend.lift.evidence.votes import Evidence
from backend.threads import spread

CANDIDATES = 4
"""Clusters kept for each Gaussian: the object, its background and two neighbours."""
LEAST = 1024
"""Least number of Gaussians per thread."""
IN_MASK = 0.1
"""A mask contains a cluster if at least this share of the cluster's weight in its view lies in it."""
VISIBLE_PIXELS = 0.2
"""A view shows a cluster only if the cluster has at least this weight in it, in pixels."""


class Agreement(NamedTuple):
    """The clusters that each Gaussian agrees with most.

    Attributes:
        cluster: (N, 4) int32, strongest first; -1 where there are fewer.
        value: (N, 4) float32, their agreement in pixels; 0 where there are fewer.
    """

    cluster: NDArray[np.int32]
    value: NDArray[np.float32]


def agreement(evidence: Evidence, cluster: NDArray[np.int32]) -> Agreement:
    """Return the clusters that each Gaussian agrees with.

    Args:
        evidence: the votes.
        cluster: (N,) int32, clusters 1, 2, ...; 0 background; -1 for Gaussians in none.
    """
    clusters = int(cluster.max(initial=0)) + 1
    shown, on_zero = _shares(
        evidence.gaussian, evidence.view, evidence.total, evidence.zero, cluster, clusters, evidence.views
    )
    start, entries = evidence.by_mask
    held = _held(start, entries, evidence.gaussian, evidence.own, evidence.mask_view, cluster, shown)
    n = len(evidence.start) - 1
    found = Agreement(np.full((n, CANDIDATES), -1, np.int32), np.zeros((n, CANDIDATES), np.float32))
    spread(
        _agree,
        n,
        evidence.start,
        evidence.view,
        evidence.mask,
        evidence.own,
        evidence.zero,
        *held,
        on_zero,
        *found,
        least=LEAST,
    )
    return found


@kernel()
def _shares(gaussian, view, total, zero, cluster, clusters, views):  # pragma: no cover - compiled
    """Return the weight of each cluster in each view, in pixels, and its share on mask 0; (C + 1, V) each."""
    shown = np.zeros((clusters, views), np.float64)
    on_zero = np.zeros((clusters, views), np.float64)
    for e in range(len(view)):
        c = cluster[gaussian[e]]
        if c >= 0:
            shown[c, view[e]] += total[e]
            on_zero[c, view[e]] += zero[e]
    for c in range(clusters):
        for v in range(views):
            on_zero[c, v] = on_zero[c, v] / shown[c, v] if shown[c, v] > VISIBLE_PIXELS else 0.0
    return shown, on_zero


@kernel()
def _held(start, entries, gaussian, own, mask_view, cluster, shown):  # pragma: no cover - compiled
    """Return the clusters in each mask with their shares; mask m has the entries ``begin[m]`` to ``begin[m + 1]``."""
    masks = len(start) - 1
    begin = np.zeros(masks + 1, np.int64)
    held = np.empty(2 * masks + 16, np.int32)
    share = np.empty(2 * masks + 16, np.float32)
    sums = np.zeros(len(shown), np.float64)
    met = np.empty(len(shown), np.int64)
    for m in range(1, masks):
        count = 0
        for e in entries[start[m] : start[m + 1]]:
            c = cluster[gaussian[e]]
            if c >= 0:
                if sums[c] == 0:
                    met[count] = c
                    count += 1
                sums[c] += own[e]
        used = begin[m]
        if used + count > len(held):
            held = np.concatenate((held, np.empty(len(held) + count, np.int32)))
            share = np.concatenate((share, np.empty(len(share) + count, np.float32)))
        for at in range(count):
            c = met[at]
            of_view = shown[c, mask_view[m]]
            if of_view > VISIBLE_PIXELS and sums[c] >= IN_MASK * of_view:
                held[used], share[used] = c, sums[c] / of_view
                used += 1
            sums[c] = 0.0
        begin[m + 1] = used
    return begin, held, share


@kernel()
def _agree(
    begin, end, start, view, mask, own, zero, held_start, held, share, on_zero, best, value
):  # pragma: no cover - compiled
    clusters = len(on_zero)
    sums = np.zeros(clusters, np.float32)
    met = np.full(clusters, -1, np.int64)
    candidates = np.empty(clusters, np.int64)
    for i in range(begin, end):
        candidates[0] = 0
        met[0] = i
        sums[0] = 0
        count = 1
        for e in range(start[i], start[i + 1]):
            for h in range(held_start[mask[e]], held_start[mask[e] + 1]):
                c = held[h]
                if met[c] != i:
                    met[c] = i
                    sums[c] = 0
                    candidates[count] = c
                    count += 1
                sums[c] += own[e] * share[h]
        for at in range(count):
            c = candidates[at]
            for e in range(start[i], start[i + 1]):
                sums[c] += zero[e] * on_zero[c, view[e]]
            place = CANDIDATES - 1
            if sums[c] <= value[i, place]:
                continue
            while place > 0 and sums[c] > value[i, place - 1]:
                value[i, place], best[i, place] = value[i, place - 1], best[i, place - 1]
                place -= 1
            value[i, place], best[i, place] = sums[c], c
