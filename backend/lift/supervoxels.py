"""Supervoxels: neighbouring Gaussians that nearly always show the same mask, joined within a voxel.

The voxel is what keeps them pure: outlines that wobble by a pixel or two move a mask's edge smoothly over neighbouring
Gaussians, so that without a limit to their size chains of neighbours leak from one object into the next.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from backend.lift.votes import Evidence

NEIGHBOURS = 8
AGREEMENT = 0.8
"""Neighbours are joined where, of the views that name a mask for both, this share names the same one."""
WITNESSES = 2
"""Views that must name the same mask for both, at least (fewer where there are fewer views)."""


def supervoxels(
    means: NDArray[np.float32],
    evidence: Evidence,
    foreground: NDArray[np.bool_],
    voxel: float,
    smallest: int,
) -> NDArray[np.int32]:
    """Return the supervoxel of each Gaussian.

    Args:
        means: (N, 3) float32, centres.
        evidence: their votes.
        foreground: (N,) bool, the Gaussians to group.
        voxel: edge of a voxel, in typical distances between neighbouring foreground Gaussians.
        smallest: supervoxels of fewer Gaussians are not formed.

    Returns:
        (N,) int32, supervoxels 0, 1, ...; -1 for Gaussians in none.
    """
    region = np.full(len(means), -1, np.int32)
    rows = np.flatnonzero(foreground)
    if len(rows) <= 1:
        return _keep_large(region, rows, np.zeros(len(rows), np.int64), smallest)
    points = means[rows].astype(np.float64)
    k = min(NEIGHBOURS, len(rows) - 1)
    distance, near = (np.asarray(column) for column in KDTree(points).query(points, k=k + 1, workers=-1))
    spacing = float(np.median(distance[:, min(4, k)]))
    cell = _cells(points, voxel * spacing)
    first = np.repeat(np.arange(len(rows)), k)
    second = near[:, 1:].ravel()
    same_cell = cell[first] == cell[second]
    first, second = first[same_cell], second[same_cell]
    witnesses = min(WITNESSES, evidence.views)
    agree = _agree(
        rows[first], rows[second], evidence.start, evidence.view, evidence.mask, evidence.sure, witnesses, AGREEMENT
    )
    edges = coo_matrix((np.ones(int(agree.sum()), np.int8), (first[agree], second[agree])), shape=(len(rows),) * 2)
    _, component = connected_components(edges, directed=False)
    return _keep_large(region, rows, component, smallest)


def voxel_codes(means: NDArray[np.float32], edge: float) -> NDArray[np.int64]:
    """Return (N,) int64, the number of the voxel of the given edge that each centre lies in."""
    return _cells(means.astype(np.float64), edge)


def _cells(points: NDArray[np.float64], edge: float) -> NDArray[np.int64]:
    step = np.floor((points - points.min(0)) / max(edge, 1e-12)).clip(0, 2**20 - 1).astype(np.int64)
    return (step[:, 0] << 40) | (step[:, 1] << 20) | step[:, 2]


def _keep_large(region: NDArray[np.int32], rows: NDArray, component: NDArray, smallest: int) -> NDArray[np.int32]:
    size = np.bincount(component)
    number = np.where(size >= smallest, np.cumsum(size >= smallest) - 1, -1)
    region[rows] = number[component]
    return region


@njit(cache=True, parallel=True)
def _agree(first, second, start, view, mask, sure, witnesses, agreement):  # pragma: no cover - compiled
    """For each pair of Gaussians walk along both lists of votes, as in a merge sort, and compare where views meet."""
    out = np.zeros(len(first), np.bool_)
    for e in prange(len(first)):
        a, a_end = start[first[e]], start[first[e] + 1]
        b, b_end = start[second[e]], start[second[e] + 1]
        same = 0
        both = 0
        while a < a_end and b < b_end:
            if view[a] < view[b]:
                a += 1
            elif view[a] > view[b]:
                b += 1
            else:
                if sure[a] and sure[b]:
                    both += 1
                    if mask[a] == mask[b]:
                        same += 1
                a += 1
                b += 1
        out[e] = same >= witnesses and same >= agreement * both
    return out
