"""Supervoxels: neighbouring Gaussians that nearly always show the same mask, joined within a voxel.

The voxel is what keeps them pure: outlines that wobble by a pixel or two move a mask's edge smoothly over neighbouring
Gaussians, so that without a limit to their size chains of neighbours leak from one object into the next.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from backend.compiled import kernel
from backend.lift.votes import Evidence
from backend.threads import spread

NEIGHBOURS = 8
AGREEMENT = 0.8
"""Neighbours are joined where, of the views that name a mask for both, this share names the same one."""
WITNESSES = 2
"""Views that must name the same mask for both, at least (fewer where there are fewer views)."""

CELLS_PER_MASK = 150
"""Voxels for each object that a view shows, at most. Joining regions takes steps with the square of those that make one
object, so where Gaussians are denser than that voxels grow with their number, and time only as fast as it."""
FEWEST_CELLS = 1000
LEAST = 4096
"""Fewest pairs of Gaussians for one thread."""


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
        voxel: edge of a voxel, in typical distances between neighbouring foreground Gaussians; larger where that makes
            more than :data:`CELLS_PER_MASK` voxels for each mask of a view.
        smallest: supervoxels of fewer Gaussians are not formed.

    Returns:
        (N,) int32, supervoxels 0, 1, ...; -1 for Gaussians in none.
    """
    region = np.full(len(means), -1, np.int32)
    rows = np.flatnonzero(foreground)
    if len(rows) <= 1:
        return _keep_large(region, rows, np.zeros(len(rows), np.int64), smallest)
    first, second, spacing = _neighbour_pairs(means[rows])
    cell = _cells(means[rows], voxel * spacing, CELLS_PER_MASK * evidence.masks / max(evidence.views, 1))
    same_cell = cell[first] == cell[second]
    first, second = first[same_cell], second[same_cell]
    witnesses = min(WITNESSES, evidence.views)
    agree = np.zeros(len(first), bool)
    spread(
        _agree,
        len(first),
        rows[first],
        rows[second],
        evidence.start,
        evidence.view,
        evidence.mask,
        evidence.sure,
        witnesses,
        AGREEMENT,
        agree,
        least=LEAST,
    )
    return _keep_large(region, rows, _components(first[agree], second[agree], len(rows)), smallest)


def code_regions(
    means: NDArray[np.float32], codes: NDArray[np.int64], possible: NDArray[np.bool_], smallest: int
) -> NDArray[np.int32]:
    """Return the connected pieces of equal codes, among neighbours in space.

    A code that two objects share, far from each other, thus makes two regions: losses that compare what one view
    shows never part objects that no view shows together.

    Args:
        means: (N, 3) float32, centres.
        codes: (N,) int64.
        possible: (N,) bool, the Gaussians to group.
        smallest: pieces of fewer Gaussians are not formed.

    Returns:
        (N,) int32, regions 0, 1, ...; -1 for Gaussians in none.
    """
    region = np.full(len(means), -1, np.int32)
    rows = np.flatnonzero(possible)
    if len(rows) <= 1:
        return _keep_large(region, rows, np.zeros(len(rows), np.int64), smallest)
    first, second, _ = _neighbour_pairs(means[rows])
    same = codes[rows][first] == codes[rows][second]
    return _keep_large(region, rows, _components(first[same], second[same], len(rows)), smallest)


def voxel_codes(means: NDArray[np.float32], edge: float) -> NDArray[np.int64]:
    """Return (N,) int64, the number of the voxel of the given edge that each centre lies in."""
    points = means.astype(np.float64)
    step = np.floor((points - points.min(0)) / max(edge, 1e-12)).clip(0, 2**20 - 1).astype(np.int64)
    return (step[:, 0] << 40) | (step[:, 1] << 20) | step[:, 2]


def _cells(means: NDArray[np.float32], edge: float, most: float) -> NDArray[np.int64]:
    """Return :func:`voxel_codes` at that edge, or at the one that makes about ``most`` voxels where it makes more."""
    most = max(most, FEWEST_CELLS)
    cell = voxel_codes(means, edge)
    for _ in range(8):
        count = len(np.unique(cell))
        if count <= most:
            break
        # Surfaces fill voxels with the square of how many make an edge.
        edge *= 1.02 * np.sqrt(count / most)
        cell = voxel_codes(means, edge)
    return cell


def _neighbour_pairs(means: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
    """Each of at least two points beside each of its nearest, and the median distance to the fourth nearest."""
    k = min(NEIGHBOURS, len(means) - 1)
    distance, near = (np.asarray(column) for column in KDTree(means).query(means, k=k + 1, workers=-1))
    first = np.repeat(np.arange(len(means)), k)
    return first, near[:, 1:].ravel(), float(np.median(distance[:, min(4, k)]))


def _components(first: NDArray[np.int64], second: NDArray[np.int64], count: int) -> NDArray[np.int32]:
    edges = coo_matrix((np.ones(len(first), np.int8), (first, second)), shape=(count, count))
    return connected_components(edges, directed=False)[1]


def _keep_large(region: NDArray[np.int32], rows: NDArray, component: NDArray, smallest: int) -> NDArray[np.int32]:
    size = np.bincount(component)
    number = np.where(size >= smallest, np.cumsum(size >= smallest) - 1, -1)
    region[rows] = number[component]
    return region


@kernel()
def _agree(
    begin, end, first, second, start, view, mask, sure, witnesses, agreement, out
):  # pragma: no cover - compiled
    """For each pair of Gaussians walk along both lists of votes, as in a merge sort, and compare where views meet."""
    for e in range(begin, end):
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
