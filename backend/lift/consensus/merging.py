"""Joins regions to objects: a signed graph over regions, and greedy additive edge contraction.

Two regions attract each other by the views that put them in one mask and repel by the views that show both:

    w(i, j) = sum over views of cos(shares of i in the view's masks, shares of j) - tau * views that show both

The cosine is 1 for two regions that masks cut in the same way. So, unlike the probability that two of their Gaussians
fall in one mask, it does not penalise regions along a wobbling outline.

Contraction joins the pair with the largest positive weight, adds up the weights to third regions, and repeats until no
weight is positive: the multicut heuristic GAEC of Keuper et al. (2015), "Efficient Decomposition of Image and Mesh
Graphs by Lifted Multicuts".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix

from backend.compiled import inlined, kernel
from backend.lift.evidence.votes import Evidence

LEAST_GAUSSIANS = 3
"""A view counts for a region only if this many of its Gaussians have a sure vote there."""


class RegionGraph(NamedTuple):
    """The signed graph over R regions, without its many negative edges.

    Repulsion is a product of the two regions' visibilities. It is additive when regions are joined, so it need not be
    stored per edge: the weight of regions (or joined regions) i and j is ``attraction[i, j] - tau * visible[i] @
    visible[j]``.

    Attributes:
        attraction: (R, R) sparse float64, symmetric, diagonal empty; number of views in which both lie in the same
            masks.
        visible: (R, V) float32, 1 if the view shows enough of the region.
    """

    attraction: csr_matrix
    visible: NDArray[np.float32]


def region_graph(evidence: Evidence, region: NDArray[np.int32]) -> RegionGraph:
    """Return the graph over the regions in ``region`` (N,) int32, numbered from 0; -1 for none."""
    regions = int(region.max(initial=-1)) + 1
    used = np.flatnonzero(evidence.sure & (region[evidence.gaussian] >= 0))
    row = region[evidence.gaussian[used]].astype(np.int64)
    shown = np.bincount(row * evidence.views + evidence.view[used], minlength=regions * evidence.views)
    shown = shown.reshape(regions, evidence.views)
    in_mask = (
        coo_matrix((np.ones(len(used)), (row, evidence.mask[used])), shape=(regions, evidence.masks + 1))
        .tocsr()
        .tocoo()
    )
    view = evidence.mask_view[in_mask.col]
    of_view = shown[in_mask.row, view]
    enough = of_view >= LEAST_GAUSSIANS
    row, column, count = in_mask.row[enough].astype(np.int64), in_mask.col[enough], in_mask.data[enough]
    cell = row * evidence.views + view[enough]
    length = np.sqrt(np.bincount(cell, count * count, regions * evidence.views))
    share = csr_matrix((count / length[cell], (row, column)), shape=in_mask.shape)
    attraction = csr_matrix(share @ share.T)
    attraction.setdiag(0)
    attraction.eliminate_zeros()
    return RegionGraph(attraction, (shown >= LEAST_GAUSSIANS).astype(np.float32))


def contract(graph: RegionGraph, tau: float) -> NDArray[np.int64]:
    """Join regions greedily; see the module docstring.

    Only regions that some mask contains together can have a positive weight, so candidates are stored as sparse lists:
    R regions of D neighbours each cost R * R + R * D * (D + V) simple steps and R * D memory.

    Args:
        graph: the signed graph.
        tau: share of the views showing both that must put them in one mask, 0 to 1.

    Returns:
        (R,) int64, the smallest region of the group that each region belongs to.
    """
    attraction = graph.attraction
    return _contract(
        attraction.indptr.astype(np.int64),
        attraction.indices.astype(np.int64),
        attraction.data.astype(np.float64),
        graph.visible.astype(np.float64),
        float(tau),
    )


# Visibilities are integers, so their sums are exact in any order and may be vectorised.
@inlined(fastmath=True)
def _repulsion(visible, i, j, tau):  # pragma: no cover - compiled
    total = 0.0
    for v in range(visible.shape[1]):
        total += visible[i, v] * visible[j, v]
    return tau * total


@inlined()
def _best(i, begin, length, other, weight):  # pragma: no cover - compiled
    """Return the strongest neighbour of ``i``; ties go to the lowest number, so the result is deterministic."""
    best, best_weight = -1, 0.0
    for e in range(begin[i], begin[i] + length[i]):
        if weight[e] > best_weight or (weight[e] == best_weight and best >= 0 and other[e] < best):
            best, best_weight = other[e], weight[e]
    return best, best_weight


@inlined()
def _strongest_pair(best, best_weight):  # pragma: no cover - compiled
    """Return the two regions, in order, with the largest positive weight; -1 and -1 if no weight is positive."""
    a, strongest = -1, 0.0
    for i in range(len(best)):
        if best_weight[i] > strongest:
            a, strongest = i, best_weight[i]
    if a < 0:
        return -1, -1
    return min(a, best[a]), max(a, best[a])


@inlined()
def _with_room(other, weight, needed):  # pragma: no cover - compiled
    """Return the pool of lists with at least ``needed`` entries; it doubles when it is full."""
    if needed <= len(other):
        return other, weight
    grown = len(other) + needed
    return (
        np.concatenate((other, np.empty(grown - len(other), np.int64))),
        np.concatenate((weight, np.empty(grown - len(weight), np.float64))),
    )


@inlined()
def _join_lists(a, b, begin, length, other, weight, first, slot, visible, tau):  # pragma: no cover - compiled
    """Write the neighbours of ``a`` joined with ``b``, and their weights, from ``first`` on; return the end.

    Args:
        slot: (R,) int64, -1 everywhere before and after; between, the index of each neighbour in the joined list.
    """
    end = first
    for e in range(begin[a], begin[a] + length[a]):
        j = other[e]
        if j != b:
            other[end], weight[end] = j, weight[e]
            slot[j] = end
            end += 1
    from_a = end
    for e in range(begin[b], begin[b] + length[b]):
        j = other[e]
        if j == a:
            continue
        if slot[j] >= 0:
            weight[slot[j]] += weight[e]
            slot[j] = -2 - slot[j]
        else:
            other[end], weight[end] = j, weight[e] - _repulsion(visible, a, j, tau)
            end += 1
    for e in range(first, from_a):
        if slot[other[e]] >= 0:
            weight[e] -= _repulsion(visible, b, other[e], tau)
        slot[other[e]] = -1
    return end


@inlined()
def _replace_both(j, a, b, joined, begin, length, other, weight):  # pragma: no cover - compiled
    """Replace ``a`` and ``b`` among the neighbours of ``j`` by ``a`` with the weight ``joined``."""
    at = -1
    f = begin[j]
    while f < begin[j] + length[j]:
        if other[f] == a or other[f] == b:
            if at < 0:
                at = f
                f += 1
            else:
                last = begin[j] + length[j] - 1
                other[f], weight[f] = other[last], weight[last]
                length[j] -= 1
        else:
            f += 1
    other[at], weight[at] = a, joined


@inlined()
def _follow_to_roots(parent):  # pragma: no cover - compiled
    """Replace each parent by the root of its tree."""
    for i in range(len(parent)):
        root = i
        while parent[root] != root:
            root = parent[root]
        parent[i] = root


@kernel()
def _contract(indptr, indices, data, visibility, tau):  # pragma: no cover - compiled
    """Return the root of each region.

    Region i has ``length[i]`` neighbours, ``other`` and ``weight`` from ``begin[i]`` on. ``best`` and ``best_weight``
    are the strongest of them.
    """
    regions = len(indptr) - 1
    visible = visibility.copy()
    begin, length = indptr[:-1].copy(), indptr[1:] - indptr[:-1]
    other, weight = indices.copy(), data.copy()
    best, best_weight = np.full(regions, -1, np.int64), np.zeros(regions, np.float64)
    for i in range(regions):
        for e in range(begin[i], begin[i] + length[i]):
            weight[e] -= _repulsion(visible, i, other[e], tau)
        best[i], best_weight[i] = _best(i, begin, length, other, weight)
    parent = np.arange(regions)
    slot = np.full(regions, -1, np.int64)
    first = len(other)

    while True:
        a, b = _strongest_pair(best, best_weight)
        if a < 0:
            break
        other, weight = _with_room(other, weight, first + length[a] + length[b])
        end = _join_lists(a, b, begin, length, other, weight, first, slot, visible, tau)
        for v in range(visible.shape[1]):
            visible[a, v] += visible[b, v]
        begin[a], length[a], length[b] = first, end - first, 0
        best[b], best_weight[b] = -1, 0.0
        parent[b] = a
        for e in range(first, end):
            j = other[e]
            _replace_both(j, a, b, weight[e], begin, length, other, weight)
            if best[j] == a or best[j] == b or best[j] < 0:
                best[j], best_weight[j] = _best(j, begin, length, other, weight)
            elif weight[e] > best_weight[j] or (weight[e] == best_weight[j] and a < best[j]):
                best[j], best_weight[j] = a, weight[e]
        best[a], best_weight[a] = _best(a, begin, length, other, weight)
        first = end

    _follow_to_roots(parent)
    return parent
