"""The convex hull of a selection, and all Gaussians inside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from backend.compiled import kernel
from backend.threads import spread

FENCE = 1.0
"""Gaussians are strays if they are further outside the middle half of the selection than this many of its widths, along
any axis.

The supplement of Contrastive Gaussian Clustering uses the hull of the whole selection, so a single stray may include
half the scene; Gaussian Grouping removes strays with this rule and factor before it computes a hull.
"""


LEAST = 4096
"""Least number of Gaussians per thread."""


def inside_hull(means: NDArray[np.float32], chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return (N,) bool, the Gaussians whose centres are in the convex hull of the ``chosen`` ones without strays.

    Args:
        means: (N, 3) float32, centres.
        chosen: (N,) bool. If they span no volume, as with fewer than four, they are returned unchanged.
    """
    rows = np.flatnonzero(chosen)
    if len(rows) < 4:
        return chosen
    points = means[rows]
    first, third = np.percentile(points, [25, 75], axis=0).astype(np.float32)
    margin = FENCE * (third - first)
    core = ((points >= first - margin) & (points <= third + margin)).all(1)
    points = points[core]
    try:
        hull = ConvexHull(points.astype(np.float64))
    except (QhullError, ValueError):
        return chosen
    known = np.zeros(len(means), bool)
    known[rows[core]] = True
    low, high = points.min(0), points.max(0)
    # Tolerance for Qhull's rounding, so that vertices count as inside.
    out = np.empty(len(means), bool)
    slack = 1e-9 * float((high - low).max())
    spread(_inside, len(means), means, known, low, high, hull.equations, slack, out, least=LEAST)
    return out


@kernel()
def _inside(begin, end, means, known, low, high, facets, slack, out):  # pragma: no cover - compiled
    for i in range(begin, end):
        x, y, z = means[i, 0], means[i, 1], means[i, 2]
        inside = low[0] <= x <= high[0] and low[1] <= y <= high[1] and low[2] <= z <= high[2]
        if inside and not known[i]:
            for f in range(len(facets)):
                if facets[f, 0] * x + facets[f, 1] * y + facets[f, 2] * z + facets[f, 3] > slack:
                    inside = False
                    break
        out[i] = inside
