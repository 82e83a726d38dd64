"""Votes for masks that overlap."""

from __future__ import annotations

import numpy as np

from backend.levels.votes import LEAST_TRUST, trust_of
from tests.backend.levels.rows import row_votes


def test_each_mask_keeps_its_view_its_id_and_its_size():
    votes = row_votes([[range(8), range(3)], [range(4, 8)]], 10)
    assert votes.views == 2
    assert votes.layer_view.tolist() == [0, 0, 1]
    assert votes.mask_view.tolist() == [-1, 0, 0, 1]
    assert votes.mask_id.tolist() == [0, 1, 2, 1]
    assert votes.area[1:].tolist() == [8, 3, 4]


def test_the_finest_vote_is_for_the_smallest_mask_that_counts():
    votes = row_votes([[range(8), range(3)], [range(4, 8)]], 10)
    finest = votes.finest(np.ones(4, bool))
    assert finest.mask[finest.view == 0].tolist() == [2, 2, 2, 1, 1, 1, 1, 1, 0, 0]
    assert finest.mask[finest.view == 1].tolist() == [0, 0, 0, 0, 3, 3, 3, 3, 0, 0]
    assert np.array_equal(finest.start, 2 * np.arange(11))
    parts_alone = votes.finest(np.array([True, False, True, True]))
    assert parts_alone.mask[parts_alone.view == 0].tolist() == [2, 2, 2, 0, 0, 0, 0, 0, 0, 0]


def test_only_the_order_of_scores_counts():
    scores = np.array([0.2, 0.9, 0.5, 0.7], np.float32)
    trust = trust_of(scores)
    assert np.array_equal(trust, trust_of(100 * scores**3))
    assert np.argsort(trust, kind="stable").tolist()[:2] == [0, 2]
    assert LEAST_TRUST < trust[0] < trust[2] < 1
    assert trust[1] == trust[3] == 1


def test_masks_without_scores_or_with_equal_ones_count_in_full():
    assert trust_of(np.full(3, 0.4, np.float32)).tolist() == [1, 1, 1]
    assert trust_of(np.array([np.nan, np.nan], np.float32)).tolist() == [1, 1]
    assert trust_of(np.zeros(0, np.float32)).tolist() == []
