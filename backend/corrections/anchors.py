"""Connects corrections to Gaussians: points that stand for some Gaussians, and the regions at points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from backend.corrections.solve import Anchored
from protocol.result.corrections import MAX_POINTS, Correction
from protocol.result.evidence import RegionEvidence
from protocol.result.table import Triple


def points_of(means: NDArray[np.float32], region: NDArray[np.int32], rows: NDArray) -> list[Triple]:
    """Return points that stand for the Gaussians ``rows``: centres in as many of their largest regions as allowed.

    Args:
        means: (N, 3) float32, centres.
        region: (N,) int32, the region of each Gaussian; -1 for Gaussians in none.
        rows: (r,) rows of Gaussians; at least one of them in a region.
    """
    rows = rows[region[rows] >= 0]
    _, first, count = np.unique(region[rows], return_index=True, return_counts=True)
    chosen = rows[first[np.argsort(-count, kind="stable")[:MAX_POINTS]]]
    x, y, z = means[chosen].astype(float).T.tolist()
    return list(zip(x, y, z, strict=True))


def anchored(means: NDArray[np.float32], evidence: RegionEvidence, corrections: Sequence[Correction]) -> list[Anchored]:
    """Return the corrections with the regions of the Gaussians nearest to their points.

    Args:
        means: (N, 3) float32, centres.
        evidence: on the regions of these Gaussians.
        corrections: in the same frame.
    """
    rows = np.flatnonzero(evidence.region >= 0)
    if not corrections or not len(rows):
        return []
    tree = KDTree(means[rows])
    found = []
    for correction in corrections:
        near = [np.asarray(tree.query(np.array(place.points))[1]) for place in correction.places]
        regions = [np.unique(evidence.region[rows[each]]).astype(np.int64) for each in near]
        found.append(Anchored(correction, tuple(regions)))
    return found
