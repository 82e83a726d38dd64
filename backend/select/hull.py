"""The convex hull of a selection, and all Gaussians inside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from backend.compiled import kernel
from backend.threads import spread

FENCE = 1.0
"""Gaussians further outside the middle half of the selection than this many of its widths, along any axis, are strays.

The supplement of Contrastive Gaussian Clustering takes the hull of all that is selected, and a single stray then takes
in half the scene; Gaussian Grouping leaves strays out by this rule and this factor before it takes a hull.
"""


LEAST = 4096
"""Fewest Gaussians for one thread."""


def inside_hull(means: NDArray[np.float32], chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return (N,) bool, the Gaussians whose centres lie in the convex hull of the ``chosen`` ones but their strays.

    Args:
        means: (N, 3) float32, centres.
        chosen: (N,) bool. Where they span no volume, as fewer than four do, they are returned as they are.
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
    # Vertices are inside by a rounding error of Qhull's own size.
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
