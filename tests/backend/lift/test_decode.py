"""Regions and codes to labels."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backend.lift.background import background_share, present_background_share
from backend.lift.decode import EvidenceSettings, bits, by_bits, by_evidence, code_map, largest_first
from backend.lift.owners import fill_from_neighbours, mask_owners, presence, vote_by_masks
from backend.render.types import Contributions
from tests.backend.lift.evidence import evidence_from_masks

# Gaussians 0-3 are one object, 4-7 another, 8-11 background; in view 1 the first object was missed, in view 2 the two
# were drawn as one, in view 3 the background got a false mask.
MASKS = np.array(
    [
        [1, 1, 1, 1, 2, 2, 2, 2, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0],
        [2, 2, 2, 2, 1, 1, 1, 1, 3, 3, 3, 3],
        [2, 2, 2, 2, 3, 3, 3, 3, 0, 0, 0, 0],
        [1, 1, 1, 1, 4, 4, 4, 4, 0, 0, 0, 0],
        [1, 1, 1, 1, 4, 4, 4, 4, 0, 0, 0, 0],
    ]
)
TRUTH = np.repeat([1, 2, 0], 4)
MEANS = np.stack([np.arange(12.0), np.zeros(12), np.zeros(12)], 1).astype(np.float32)


def test_background_counts_only_views_that_have_the_object() -> None:
    evidence = evidence_from_masks(MASKS)
    np.testing.assert_allclose(background_share(evidence)[[0, 4, 8]], [1 / 7, 0, 6 / 7], rtol=1e-6)
    share = present_background_share(evidence, TRUTH.astype(np.int32))
    np.testing.assert_allclose(share[[0, 4, 8]], [0, 0, 0], rtol=1e-6)


def test_masks_and_clusters_choose_one_another() -> None:
    evidence = evidence_from_masks(MASKS)
    owners = mask_owners(evidence, TRUTH.astype(np.int32))
    assert owners.cluster[1:3].tolist() == [1, 2]
    assert owners.purity[1:3].tolist() == [1, 1]
    both = 4
    assert owners.cluster[both] == 1
    np.testing.assert_allclose(owners.purity[both], 0.5)
    assert vote_by_masks(evidence, owners).tolist() == [1] * 4 + [2] * 4 + [0] * 4
    np.testing.assert_allclose(presence(evidence, TRUTH.astype(np.int32), owners), [1, 6 / 7, 6 / 7])


def test_by_evidence_undoes_misses_merges_and_false_masks() -> None:
    evidence = evidence_from_masks(MASKS)
    region = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2], np.int32)
    label = by_evidence(MEANS, evidence, region, EvidenceSettings())
    assert largest_first(label).tolist() == TRUTH.tolist()


def test_by_evidence_joins_an_object_that_came_in_pieces() -> None:
    masks = np.array([[1] * 6 + [2] * 6] * 5 + [[1] * 3 + [2] * 9])
    region = np.repeat(np.arange(4), 3).astype(np.int32)
    label = by_evidence(MEANS, evidence_from_masks(masks), region, EvidenceSettings())
    assert len(set(label[:6])) == len(set(label[6:])) == 1
    assert label[0] != label[6]


def test_leftover_gaussians_follow_their_masks_not_their_neighbours() -> None:
    masks = np.array([[1, 1, 1, 2, 1, 1, 1, 0, 2, 2, 2, 2]] * 4)
    region = np.array([0, 0, 0, -1, 0, 0, 0, -1, 1, 1, 1, 1], np.int32)
    label = by_evidence(MEANS, evidence_from_masks(masks), region, EvidenceSettings())
    assert label[3] == label[8] > 0
    assert label[7] == 0


def test_unseen_gaussians_take_their_neighbours_label() -> None:
    label = np.array([1, 1, 1, 0, 0, 2, 2, 2, 2, 2, 2, 0], np.int32)
    known = label > 0
    filled = fill_from_neighbours(MEANS, label, known, k=3)
    assert filled.tolist() == [1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2]
    assert fill_from_neighbours(MEANS, label, np.zeros(12, bool)) is label


@given(hnp.arrays(np.float32, (4, 12), elements=st.floats(-20, 20, width=32)))
def test_bits_are_the_papers_formula(embedding: np.ndarray) -> None:
    squashed = 1 / (1 + np.exp(-embedding.astype(np.float64)))
    # A float64 sigmoid rounds to 0.5 for the tiniest arguments.
    embedding = np.where(np.abs(embedding) < 1e-6, 0, embedding)
    paper = [
        sum(int(s > 0.5 and v != 0) * 2**k for k, (s, v) in enumerate(zip(*row, strict=True)))
        for row in zip(squashed, embedding, strict=True)
    ]
    assert bits(embedding).tolist() == paper


def test_by_bits_calls_the_code_on_empty_masks_background() -> None:
    codes = np.repeat([7, 4000, 5], 4)
    assert largest_first(by_bits(codes, evidence_from_masks(MASKS))).tolist() == [1] * 4 + [2] * 4 + [0] * 4


def test_code_map_decodes_the_rendered_embedding() -> None:
    rng = np.random.default_rng(0)
    found = Contributions(np.arange(6), rng.integers(0, 4, (6, 2)).astype(np.int32), rng.random((6, 2)).astype("f4"))
    embedding = rng.normal(size=(4, 12)).astype(np.float32)
    got = code_map(found, embedding, (2, 3))
    for p in range(6):
        rendered = found.weights[p] @ embedding[found.ids[p]]
        assert got.ravel()[p] == sum(2**k for k in range(12) if rendered[k] > 0)


@given(hnp.arrays(np.int32, st.integers(1, 40), elements=st.integers(0, 6)))
def test_largest_first(label: np.ndarray) -> None:
    got = largest_first(label)
    assert ((got == 0) == (label == 0)).all()
    count = np.bincount(got)[1:]
    assert (count > 0).all()
    assert (np.diff(count) <= 0).all()
    assert len(set(zip(label.tolist(), got.tolist(), strict=True))) == len(set(label.tolist()))
