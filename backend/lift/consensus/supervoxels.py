"""Supervoxels: neighbouring Gaussians that nearly always lie in the same masks, joined within a voxel.

The voxel limits their size and keeps them pure: wobbling outlines move a mask's edge smoothly over neighbouring
Gaussians, so chains of neighbours would otherwise connect one object to the next.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.compiled import kernel
from backend.lift.consensus.regions import connected_pieces, keep_large, neighbour_pairs
from backend.lift.evidence.votes import Evidence
from backend.threads import spread

AGREEMENT = 0.8
"""Neighbours are joined if this share of the views with sure votes for both has them in the same mask."""
LEAST_VIEWS = 2
"""Least number of views with both in the same mask (fewer if there are fewer views)."""
CELLS_PER_MASK = 150
"""Most voxels per mask of a view. The cost of joining regions is quadratic in the regions of one object, so for denser
Gaussians voxels grow with their number, which keeps the time linear."""
FEWEST_CELLS = 1000
LEAST = 4096
"""Least number of pairs per thread."""


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
        voxel: edge of a voxel, in typical distances between neighbouring foreground Gaussians; larger if there were
            more than :data:`CELLS_PER_MASK` voxels per mask of a view.
        smallest: supervoxels with fewer Gaussians are dropped.

    Returns:
        (N,) int32, supervoxels 0, 1, ...; -1 for Gaussians in none.
    """
    region = np.full(len(means), -1, np.int32)
    rows = np.flatnonzero(foreground)
    if len(rows) <= 1:
        return keep_large(region, rows, np.zeros(len(rows), np.int64), smallest)
    first, second, spacing = neighbour_pairs(means[rows])
    cell = _cells(means[rows], voxel * spacing, CELLS_PER_MASK * evidence.masks / max(evidence.views, 1))
    same_cell = cell[first] == cell[second]
    first, second = first[same_cell], second[same_cell]
    least_views = min(LEAST_VIEWS, evidence.views)
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
        least_views,
        AGREEMENT,
        agree,
        least=LEAST,
    )
    return keep_large(region, rows, connected_pieces(first[agree], second[agree], len(rows)), smallest)


def voxel_codes(means: NDArray[np.float32], edge: float) -> NDArray[np.int64]:
    """Return (N,) int64, the number of the voxel of the given edge that contains each centre."""
    points = means.astype(np.float64)
    step = np.floor((points - points.min(0)) / max(edge, 1e-12)).clip(0, 2**20 - 1).astype(np.int64)
    return (step[:, 0] << 40) | (step[:, 1] << 20) | step[:, 2]


def _cells(means: NDArray[np.float32], edge: float, most: float) -> NDArray[np.int64]:
    """Return :func:`voxel_codes` at that edge, or at a larger one that gives about ``most`` voxels."""
    most = max(most, FEWEST_CELLS)
    cell = voxel_codes(means, edge)
    for _ in range(8):
        count = len(np.unique(cell))
        if count <= most:
            break
        # The number of voxels on a surface is quadratic in their number along an edge.
        edge *= 1.02 * np.sqrt(count / most)
        cell = voxel_codes(means, edge)
    return cell


@kernel()
def _agree(
    begin, end, first, second, start, view, mask, sure, least_views, agreement, out
):  # pragma: no cover - compiled
    """For each pair of Gaussians, merge the sorted lists of their votes and compare them in common views."""
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
        out[e] = same >= least_views and same >= agreement * both
