"""Object or background: what a Gaussian's votes for "no mask" are worth.

Detectors drop objects from views, so a vote for mask 0 may mean background or a missed object. Hence the first cut is
generous, and the final one counts a view's votes for mask 0 only if the Gaussian's own object has a mask in that view.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from backend.lift.votes import Evidence

ABSENT = 0.8
"""An object has no mask in a view if this share of its weight there lies on mask 0."""
FEW = 0.02
"""Weight (in pixels) over which the views that show the object must see a Gaussian to judge it."""


def background_share(evidence: Evidence) -> NDArray[np.float32]:
    """Return (N,) float32, the share of each Gaussian's weight on mask 0; 1 where no view shows it."""
    zero = evidence.sums(evidence.zero)
    return np.where(evidence.seen, zero / np.maximum(evidence.weight, FEW), 1.0).astype(np.float32)


def present_background_share(evidence: Evidence, cluster: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return (N,) float32, the share on mask 0 in the views where the Gaussian's own cluster has a mask.

    Args:
        evidence: the votes.
        cluster: (N,) int32, clusters from 1; those of 0 are compared as one more cluster.
    """
    clusters = int(cluster.max(initial=0)) + 1
    share, weight = _present_share(
        evidence.gaussian, evidence.view, evidence.total, evidence.zero, cluster, clusters, evidence.views
    )
    return np.where(weight > FEW, share, background_share(evidence)).astype(np.float32)


@njit(cache=True)
def _present_share(gaussian, view, total, zero, cluster, clusters, views):  # pragma: no cover - compiled
    all_total = np.zeros((clusters, views), np.float64)
    all_zero = np.zeros((clusters, views), np.float64)
    for e in range(len(view)):
        c = cluster[gaussian[e]]
        all_total[c, view[e]] += total[e]
        all_zero[c, view[e]] += zero[e]
    n = len(cluster)
    share = np.zeros(n, np.float64)
    weight = np.zeros(n, np.float64)
    for e in range(len(view)):
        i = gaussian[e]
        c = cluster[i]
        if all_zero[c, view[e]] < ABSENT * all_total[c, view[e]]:
            share[i] += zero[e]
            weight[i] += total[e]
    for i in range(n):
        if weight[i] > 0:
            share[i] /= weight[i]
    return share, weight
