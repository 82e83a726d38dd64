"""The signed graph over regions of :mod:`backend.lift.consensus.merging`, built from the evidence of a result."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from backend.lift.consensus.merging import RegionGraph, contract
from protocol.result.evidence import RegionEvidence

NEVER = 1e6
"""Repulsion, in views, of two nodes that the user keeps apart. It stays negative whatever is added to it."""


def grouped(evidence: RegionEvidence, group: NDArray[np.integer], count: int) -> RegionGraph:
    """Return the graph over groups of regions; weights of groups are sums over their regions.

    Args:
        evidence: on R regions.
        group: (R,), from 0 to ``count`` - 1; -1 for regions in no group.
        count: number of groups.
    """
    first, second = group[evidence.first], group[evidence.second]
    used = (first >= 0) & (second >= 0) & (first != second)
    first, second, value = first[used], second[used], evidence.attraction[used].astype(np.float64)
    pairs = (np.concatenate([first, second]), np.concatenate([second, first]))
    attraction = csr_matrix((np.concatenate([value, value]), pairs), shape=(count, count))
    kept = np.flatnonzero(group >= 0)
    member = csr_matrix((np.ones(len(kept), np.float32), (group[kept], np.arange(len(kept)))), shape=(count, len(kept)))
    return RegionGraph(attraction, np.asarray(member @ evidence.visible[kept].astype(np.float32)))


def agreement(graph: RegionGraph) -> csr_matrix:
    """Return (G, G) the share of the views showing both in which masks put both in one; 0 if none does."""
    pairs = graph.attraction.tocoo()
    both = np.einsum("ev,ev->e", graph.visible[pairs.row], graph.visible[pairs.col]).astype(np.float64)
    share = np.divide(pairs.data, both, out=np.zeros(len(both)), where=both > 0)
    return csr_matrix((share, (pairs.row, pairs.col)), shape=graph.attraction.shape)


def joined(graph: RegionGraph, tau: float, apart: list[tuple[int, int]]) -> NDArray[np.int64]:
    """Return (G,) int64 the group of each node after contraction, with pairs of nodes that stay apart."""
    attraction = graph.attraction
    if apart:
        row, column = np.array(apart).T
        both = (np.concatenate([row, column]), np.concatenate([column, row]))
        attraction = attraction - csr_matrix((np.full(2 * len(row), NEVER), both), shape=attraction.shape)
    return contract(RegionGraph(csr_matrix(attraction), graph.visible), tau)
