"""How far a Gaussian agrees with a cluster."""

from __future__ import annotations

import numpy as np
import pytest

from backend.lift.evidence.agreement import IN_MASK, agreement
from tests.backend.lift.made_evidence import MASKS, TRUTH, evidence_from_masks


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
    # A Gaussian in no cluster still agrees with the clusters next to it.
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
