"""Groups regions into whole objects and parts by overlapping masks.

Two regions belong to one object if some mask of a view contains both, even if smaller masks of that view separate them.
They belong to one part if the smallest mask of each is the same:

    whole: w(i, j) = sum over views of the trust of the surest mask that holds both, - tau * views of both
    part:  w(i, j) = views in which one mask is the smallest of both, - tau * views of both

where views of both are those in which both lie in masks. Touching regions that masks nearly always contain together are
joined first; then the others, touching or not, by :func:`backend.lift.consensus.merging.contract`. A mask that contains
two objects at once is outvoted by the other views. The agreement of views on what belongs together is the idea of
MaskClustering (Yan et al. 2024).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix

from backend.compiled import kernel
from backend.levels.votes import LayerVotes
from backend.lift.consensus.merging import RegionGraph, contract, region_graph
from backend.lift.consensus.regions import neighbour_pairs
from backend.lift.evidence.votes import SURE_WEIGHT, Evidence

HELD = 0.5
"""A mask contains a region if at least this share of the visible part of the region lies in it."""
LEAST_GAUSSIANS = 2
"""A view counts for a region only if this many of its Gaussians are visible."""
NEARLY = 0.8
"""Touching regions are joined first if masks contain both in more than this share of the views."""


class Membership(NamedTuple):
    """Which masks contain which of R regions: region r has the entries ``start[r]`` to ``start[r + 1]``.

    Attributes:
        start: (R + 1,) int64.
        view: (E,) int32, ascending within a region.
        mask: (E,) int32, ascending within a view.
        share: (E,) float32, the share of the visible part of the region that lies in the mask.
    """

    start: NDArray[np.int64]
    view: NDArray[np.int32]
    mask: NDArray[np.int32]
    share: NDArray[np.float32]


def membership(votes: LayerVotes, region: NDArray[np.int32]) -> Membership:
    """Return which masks contain at least the share :data:`HELD` of each region in ``region`` (N,), -1 for none."""
    evidence, regions = votes.evidence, int(region.max(initial=-1)) + 1
    inside = region[evidence.gaussian] >= 0
    view = votes.layer_view[evidence.view]
    # Each layer shows the same Gaussians, so the first layer of a view is enough for visibility.
    first = np.append(True, np.diff(votes.layer_view) > 0)[evidence.view]
    plain = inside & first & (evidence.total > SURE_WEIGHT)
    cell = region[evidence.gaussian[plain]].astype(np.int64) * votes.views + view[plain]
    shown = np.bincount(cell, minlength=regions * votes.views)
    used = np.flatnonzero(inside & evidence.sure)
    held = coo_matrix(
        (np.ones(len(used)), (region[evidence.gaussian[used]], evidence.mask[used])),
        shape=(regions, evidence.masks + 1),
    ).tocsr()
    held.sort_indices()
    row = np.repeat(np.arange(regions), np.diff(held.indptr))
    of_view = shown[row.astype(np.int64) * votes.views + votes.mask_view[held.indices]]
    share = held.data / np.maximum(of_view, 1)
    kept = (share >= HELD) & (of_view >= LEAST_GAUSSIANS)
    start = np.concatenate([[0], np.cumsum(kept)])[held.indptr]
    mask = held.indices[kept].astype(np.int32)
    return Membership(start, votes.mask_view[mask], mask, share[kept].astype(np.float32))


def wholes(votes: LayerVotes, means: NDArray[np.float32], region: NDArray[np.int32], tau: float) -> NDArray[np.int32]:
    """Return (N,) int32, the object of each Gaussian from 0; -1 for those in no region."""
    if region.max(initial=-1) < 0:
        return region
    group = _numbered(_touching(votes, means, region, max(tau, NEARLY)))
    while True:
        member = membership(votes, group)
        pairs = _sharing(member, votes.evidence.masks + 1)
        common, _ = _compare(member, pairs, votes.trust)
        seen = _seen(member, votes.views)
        joined = contract(RegionGraph(_symmetric(pairs, common, len(seen)), seen), tau)
        new = _numbered(np.where(group >= 0, joined[np.maximum(group, 0)], -1))
        if new.max(initial=-1) == group.max(initial=-1):
            return new
        group = new


def parts(finest: Evidence, region: NDArray[np.int32], whole: NDArray[np.int32], tau: float) -> NDArray[np.int32]:
    """Return (N,) int32, the part of each Gaussian from 0, each part inside one object; -1 for none.

    Args:
        finest: one vote per Gaussian and view, for its smallest mask.
        region: (N,) int32, regions from 0; -1 for none.
        whole: (N,) int32, objects from 0; -1 for none.
        tau: share of the views.
    """
    known = np.flatnonzero((region >= 0) & (whole >= 0))
    result = np.full(len(region), -1, np.int32)
    if not len(known):
        return result
    # A region that spans several objects is split.
    pairs, number = np.unique(np.stack([region[known], whole[known]]), axis=1, return_inverse=True)
    piece = result.copy()
    piece[known] = number.reshape(-1)
    graph = region_graph(finest, piece)
    both = graph.attraction.tocoo()
    kept = pairs[1][both.row] == pairs[1][both.col]
    within = csr_matrix((both.data[kept], (both.row[kept], both.col[kept])), shape=both.shape)
    within.sort_indices()
    joined = contract(RegionGraph(within, graph.visible), tau)
    result[known] = joined[piece[known]]
    return _numbered(result)


def _touching(
    votes: LayerVotes, means: NDArray[np.float32], region: NDArray[np.int32], tau: float
) -> NDArray[np.int32]:
    rows = np.flatnonzero(region >= 0)
    if len(rows) < 2:
        return region
    first, second, _ = neighbour_pairs(means[rows])
    pairs = np.sort(np.stack([region[rows[first]], region[rows[second]]], 1), 1)
    pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    member = membership(votes, region)
    common, both = _compare(member, pairs, votes.trust)
    regions = int(region.max()) + 1
    graph = _symmetric(pairs, common - tau * both, regions)
    joined = contract(RegionGraph(graph, np.zeros((regions, 0), np.float32)), 0.0)
    return np.where(region >= 0, joined[np.maximum(region, 0)], -1).astype(np.int32)


def _sharing(member: Membership, masks: int) -> NDArray[np.int32]:
    """Return pairs (E, 2) of regions that some mask contains together."""
    regions = len(member.start) - 1
    row = np.repeat(np.arange(regions), np.diff(member.start))
    held = csr_matrix((np.ones(len(row), np.float32), (row, member.mask)), shape=(regions, masks))
    both = (held @ held.T).tocoo()
    upper = both.row < both.col
    return np.stack([both.row[upper], both.col[upper]], 1).astype(np.int32)


def _seen(member: Membership, views: int) -> NDArray[np.float32]:
    regions = len(member.start) - 1
    seen = np.zeros((regions, views), np.float32)
    seen[np.repeat(np.arange(regions), np.diff(member.start)), member.view] = 1
    return seen


def _symmetric(pairs: NDArray, weight: NDArray, count: int) -> csr_matrix:
    both = np.concatenate([pairs[:, 0], pairs[:, 1]]), np.concatenate([pairs[:, 1], pairs[:, 0]])
    graph = csr_matrix((np.tile(weight, 2).astype(np.float64), both), shape=(count, count))
    graph.sort_indices()
    return graph


def _compare(member: Membership, pairs: NDArray, trust: NDArray[np.float32]) -> tuple[NDArray, NDArray]:
    common, both = np.zeros(len(pairs)), np.zeros(len(pairs))
    _walk(pairs.astype(np.int64), *member[:3], trust, common, both)
    return common, both


@kernel()
def _walk(pairs, start, view, mask, trust, common, both):  # pragma: no cover - compiled
    """For each pair of regions, merge the sorted lists of their masks view by view."""
    for p in range(len(pairs)):
        a, a_end = start[pairs[p, 0]], start[pairs[p, 0] + 1]
        b, b_end = start[pairs[p, 1]], start[pairs[p, 1] + 1]
        while a < a_end and b < b_end:
            if view[a] < view[b]:
                a += 1
            elif view[a] > view[b]:
                b += 1
            else:
                here = view[a]
                best = 0.0
                while a < a_end and b < b_end and view[a] == here and view[b] == here:
                    if mask[a] < mask[b]:
                        a += 1
                    elif mask[a] > mask[b]:
                        b += 1
                    else:
                        best = max(best, trust[mask[a]])
                        a += 1
                        b += 1
                while a < a_end and view[a] == here:
                    a += 1
                while b < b_end and view[b] == here:
                    b += 1
                common[p] += best
                both[p] += 1


def _numbered(group: NDArray) -> NDArray[np.int32]:
    present = np.bincount(np.maximum(group, 0), minlength=1) > 0
    present[0] = bool((group == 0).any())
    return np.where(group >= 0, (np.cumsum(present) - 1)[np.maximum(group, 0)], -1).astype(np.int32)
