"""Contraction against the same heuristic on a dense matrix, and on graphs whose parts are known."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from backend.lift.consensus.merging import RegionGraph, contract, region_graph
from tests.backend.lift.made_evidence import evidence_from_masks


def dense_contraction(attraction: np.ndarray, visible: np.ndarray, tau: float) -> np.ndarray:
    """Greedy additive edge contraction, by looking through the whole matrix each time."""
    weight = attraction - tau * visible @ visible.T
    np.fill_diagonal(weight, -np.inf)
    group = np.arange(len(weight))
    while len(weight):
        a, b = np.unravel_index(weight.argmax(), weight.shape)
        if not weight[a, b] > 1e-9:
            break
        a, b = min(a, b), max(a, b)
        weight[a] += weight[b]
        weight[:, a] = weight[a]
        weight[b] = weight[:, b] = weight[a, a] = -np.inf
        group[group == group[b]] = group[a]
    return group


def partition(group: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(group == g).tolist()) for g in np.unique(group)}


@given(st.integers(0, 2**32 - 1), st.integers(1, 14), st.floats(0.05, 0.95), st.floats(0.1, 0.9))
@settings(max_examples=150, deadline=None)
def test_equals_brute_force(seed: int, regions: int, density: float, tau: float) -> None:
    rng = np.random.default_rng(seed)
    attraction = np.triu(rng.random((regions, regions)) * 4 * (rng.random((regions, regions)) < density), 1)
    attraction += attraction.T
    visible = (rng.random((regions, 5)) < 0.7).astype(np.float32)
    got = contract(RegionGraph(csr_matrix(attraction), visible), tau)
    assert partition(got) == partition(dense_contraction(attraction, visible, tau))


def test_thousands_of_regions_fall_into_their_parts() -> None:
    rng = np.random.default_rng(0)
    parts, each, views = 500, 16, 20
    truth = np.repeat(np.arange(parts), each)
    visible = (rng.random((parts, views)) < 0.6).astype(np.float32)[truth]
    first, second = (parts_of.ravel() for parts_of in np.indices((each, each)))
    rows = np.concatenate([p * each + first for p in range(parts)])
    columns = np.concatenate([p * each + second for p in range(parts)])
    stray = rng.integers(0, parts * each, (2, 60_000))
    both = (visible[rows] * visible[columns]).sum(1) * 0.9
    between = (visible[stray[0]] * visible[stray[1]]).sum(1) * 0.1
    attraction = csr_matrix(
        (np.concatenate([both, between]), (np.concatenate([rows, stray[0]]), np.concatenate([columns, stray[1]])))
    )
    attraction = csr_matrix(attraction + attraction.T) * 0.5
    attraction.setdiag(0)
    attraction.eliminate_zeros()
    got = contract(RegionGraph(attraction, visible), 0.6)
    shown = visible.sum(1) > 0
    assert shown.all()
    assert partition(got) == partition(truth)


def test_graph_counts_views_that_hold_regions_together() -> None:
    # Two regions of four Gaussians, three views: together, apart, and one view that shows the first region alone.
    masks = np.array([[1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 2, 2, 2, 2], [1, 1, 1, 1, -1, -1, -1, -1]])
    graph = region_graph(evidence_from_masks(masks), np.repeat([0, 1], 4).astype(np.int32))
    assert graph.visible.tolist() == [[1, 1, 1], [1, 1, 0]]
    np.testing.assert_allclose(graph.attraction.toarray(), [[0, 1], [1, 0]])


def test_graph_compares_the_shares_where_masks_cut_regions() -> None:
    masks = np.array([[1, 1, 1, 2, 1, 1, 1, 1], [1, 1, 2, 2, 1, 2, 1, 2]])
    graph = region_graph(evidence_from_masks(masks), np.repeat([0, 1], 4).astype(np.int32))
    np.testing.assert_allclose(graph.attraction.toarray(), np.array([[0, 1], [1, 0]]) * (1 + 3 / 10**0.5))
