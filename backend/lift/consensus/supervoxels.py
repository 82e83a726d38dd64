"""Supervoxels: neighbouring Gaussians that nearly always show the same mask, joined within a voxel.

The voxel is what keeps them pure: outlines that wobble by a pixel or two move a mask's edge smoothly over neighbouring
Gaussians, so that without a limit to their size chains of neighbours leak from one object into the next.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.compiled import kernel
from backend.lift.consensus.regions import connected_pieces, keep_large, neighbour_pairs
from backend.lift.evidence.votes import Evidence
from backend.threads import spread

AGREEMENT = 0.8
"""Neighbours are joined where, of the views that name a mask for both, this share names the same one."""
LEAST_VIEWS = 2
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


@kernel()
def _agree(
    begin, end, first, second, start, view, mask, sure, least_views, agreement, out
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
        out[e] = same >= least_views and same >= agreement * both
