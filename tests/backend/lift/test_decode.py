"""Regions and codes to labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backend.lift.agreement import IN_MASK, Agreement, agreement
from backend.lift.background import background_share
from backend.lift.decode import EvidenceSettings, bits, by_bits, by_evidence, code_map, largest_first
from backend.lift.owners import fill_from_neighbours, mask_owners, presence
from backend.lift.smoothing import smoothed, surface
from backend.render.types import Contributions
from protocol.sh import SH0
from protocol.splats import Splats
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


def in_a_row(count: int, grey: np.ndarray) -> Splats:
    """Gaussians one unit apart, of the given brightness."""
    means = np.stack([np.arange(float(count)), np.zeros(count), np.zeros(count)], 1).astype(np.float32)
    quats = np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1))
    sh = np.repeat(grey / SH0, 3).reshape(count, 1, 3).astype(np.float32)
    return Splats(means, quats, np.full((count, 3), -2, np.float32), np.zeros(count, np.float32), sh)


BY_MASKS_ALONE = EvidenceSettings(smoothing=0)
"""As all of a dozen Gaussians are neighbours."""
ROW = in_a_row(12, np.where(TRUTH, TRUTH / 2, 0.0))


def test_background_share_is_that_of_mask_0() -> None:
    np.testing.assert_allclose(background_share(evidence_from_masks(MASKS))[[0, 4, 8]], [1 / 7, 0, 6 / 7], rtol=1e-6)


def test_agreement_counts_missed_and_merged_objects_for_both_alike() -> None:
    found = agreement(evidence_from_masks(MASKS), TRUTH.astype(np.int32))
    by_cluster = {
        i: dict(zip(found.cluster[i].tolist(), found.value[i].tolist(), strict=True)) for i in range(len(TRUTH))
    }
    # The first object agrees with itself in all views, with the background where it was missed, with the other object
    # where the two were drawn as one. The background, which shares no mask with either, is compared with itself alone.
    assert by_cluster[0] == pytest.approx({1: 7, 0: 1, 2: 1, -1: 0})
    assert by_cluster[4] == pytest.approx({2: 7, 1: 1, -1: 0})
    assert by_cluster[8] == pytest.approx({0: 7, -1: 0})


def test_agreement_weighs_what_a_split_leaves_in_each_part() -> None:
    masks = np.array([[1, 1, 1, 2, 0, 0], [1, 1, 1, 1, 0, -1]])
    found = agreement(evidence_from_masks(masks, weight=2.0), np.array([1, 1, 1, 1, 0, -1], np.int32))
    assert found.cluster[:4, 0].tolist() == [1] * 4
    np.testing.assert_allclose(found.value[:4, 0], [2 * 1.75] * 3 + [2 * 1.25])
    # A Gaussian that counts for no cluster still agrees with those it lies beside.
    assert found.cluster[5, 0] == 0
    assert found.value[5, 0] == 2


def test_agreement_equals_its_formula() -> None:
    rng = np.random.default_rng(4)
    masks = rng.integers(-1, 4, (6, 30))
    cluster = rng.integers(-1, 3, 30).astype(np.int32)
    found = agreement(evidence_from_masks(masks), cluster)
    for i in range(30):
        brute = np.zeros(3)
        # The background, and clusters that some mask holds together with the Gaussian, are compared.
        compared = np.array([True, False, False])
        for view in masks:
            for k in range(3):
                shown = view[(cluster == k) & (view >= 0)]
                share = np.mean(shown == view[i]) if len(shown) and view[i] >= 0 else 0
                brute[k] += share if view[i] == 0 or share >= IN_MASK else 0
                compared[k] |= view[i] > 0 and share >= IN_MASK
        brute *= compared
        kept = found.cluster[i] >= 0
        np.testing.assert_allclose(found.value[i][kept], brute[found.cluster[i][kept]], rtol=1e-5)
        assert found.value[i, 0] == pytest.approx(brute.max(), rel=1e-5)
        assert (np.diff(found.value[i]) <= 0).all()


def test_masks_belong_to_the_cluster_that_fills_them() -> None:
    evidence = evidence_from_masks(MASKS)
    owner = mask_owners(evidence, TRUTH.astype(np.int32))
    assert owner[1:5].tolist() == [1, 2, 2, 1]
    np.testing.assert_allclose(presence(evidence, TRUTH.astype(np.int32), owner), [1, 6 / 7, 6 / 7])


def test_smoothing_follows_colour_and_stops_at_it() -> None:
    line = in_a_row(12, np.repeat([0.2, 0.8], 6))
    graph = surface(line, np.ones(12, bool))
    value = np.zeros((12, 4), np.float32)
    value[:, 0] = 1
    cluster = np.full((12, 4), -1, np.int32)
    # The masks' edge lies two Gaussians away from where the colour changes, and one vote is a stray.
    cluster[:, 0] = [1, 1, 2, 1, 2, 2, 2, 2, 2, 2, 2, 2]
    found = Agreement(cluster, value)
    assert smoothed(found, graph, 0).tolist() == cluster[:, 0].tolist()
    assert smoothed(found, graph, 20)[6:].tolist() == [2] * 6
    value[[4, 5]] *= 0.4
    assert smoothed(found, graph, 20).tolist() == [1] * 6 + [2] * 6


def test_smoothing_leaves_the_edge_between_equal_colours_and_the_lone_background() -> None:
    line = in_a_row(400, np.full(400, 0.5))
    value = np.zeros((400, 4), np.float32)
    value[:, 0] = 1
    cluster = np.full((400, 4), -1, np.int32)
    cluster[:, 0] = np.repeat([1, 2, 0], [150, 150, 100])
    graph = surface(line, np.ones(400, bool))
    got = smoothed(Agreement(cluster, value), graph, 20)
    assert got[:290].tolist() == cluster[:290, 0].tolist()
    assert (got[300:] == 0).all()


def test_smoothing_of_one_gaussian() -> None:
    one = in_a_row(1, np.zeros(1))
    found = Agreement(np.array([[3, 0, -1, -1]], np.int32), np.array([[2, 1, 0, 0]], np.float32))
    assert smoothed(found, surface(one, np.ones(1, bool)), 5).tolist() == [3]
    assert smoothed(found, surface(one, np.zeros(1, bool)), 5).tolist() == [3]


def test_by_evidence_undoes_misses_merges_and_false_masks() -> None:
    evidence = evidence_from_masks(MASKS)
    region = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2], np.int32)
    label = by_evidence(ROW, evidence, region, EvidenceSettings())
    assert largest_first(label).tolist() == TRUTH.tolist()


def test_by_evidence_joins_an_object_that_came_in_pieces() -> None:
    masks = np.array([[1] * 6 + [2] * 6] * 5 + [[1] * 3 + [2] * 9])
    region = np.repeat(np.arange(4), 3).astype(np.int32)
    label = by_evidence(ROW, evidence_from_masks(masks), region, BY_MASKS_ALONE)
    assert len(set(label[:6])) == len(set(label[6:])) == 1
    assert label[0] != label[6]


def test_leftover_gaussians_follow_their_masks_not_their_neighbours() -> None:
    masks = np.array([[1, 1, 1, 2, 1, 1, 1, 0, 2, 2, 2, 2]] * 4)
    region = np.array([0, 0, 0, -1, 0, 0, 0, -1, 1, 1, 1, 1], np.int32)
    label = by_evidence(ROW, evidence_from_masks(masks), region, BY_MASKS_ALONE)
    assert label[3] == label[8] > 0
    assert label[7] == 0


def test_unseen_gaussians_take_their_neighbours_label() -> None:
    label = np.array([1, 1, 1, 0, 0, 2, 2, 2, 2, 2, 2, 0], np.int32)
    known = label > 0
    filled = fill_from_neighbours(MEANS, label, known, k=3)
    assert filled.tolist() == [1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2]
    assert fill_from_neighbours(MEANS, label, np.zeros(12, bool)) is label


def test_many_gaussians_are_filled_alike_near_by_and_by_the_same_surface_far_off():
    rng = np.random.default_rng(0)
    known = rng.uniform(-1, 1, (30_000, 3)) * [1, 1, 0] + rng.choice([-2.0, 2.0], 30_000)[:, None] * [0, 0, 1]
    near = known[:500] + 1e-4
    far = rng.uniform(-1, 1, (500, 3)) * [1, 1, 0] + rng.choice([-5.0, 1.0], 500)[:, None] * [0, 0, 1]
    means = np.concatenate([known, near, far]).astype(np.float32)
    label = np.where(known[:, 2] > 0, 1, 2)
    label[(known[:, 2] > 0) & (known[:, 0] > 0)] = 3
    start = np.concatenate([label, np.zeros(1000)]).astype(np.int32)
    filled = fill_from_neighbours(means, start, np.arange(31_000) < 30_000)
    assert (filled[:30_000] == label).all()
    edge = np.abs(near[:, 0]) < 0.02
    assert (filled[30_000:30_500] == label[:500])[~edge].all()
    above = far[:, 2] > 0
    assert set(filled[30_500:][above]) == {1, 3}
    assert (filled[30_500:][~above] == 2).all()


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
