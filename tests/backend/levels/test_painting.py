"""Which mask shows what in a view."""

from __future__ import annotations

import numpy as np

from backend.levels.overlap import overlap_of
from backend.levels.painting import painted
from tests.backend.levels.rows import row_votes

GROUP = np.repeat(np.array([0, 1, 2], np.int32), 10)
THINGS = np.array([False, False, True])


def test_the_mask_that_fits_best_is_painted_and_background_is_not():
    votes = row_votes([[range(8), range(10), range(10, 20), range(20, 30)]], 30)
    numbers = painted(overlap_of(votes, GROUP), THINGS)
    by_id = dict(zip(votes.mask_id.tolist(), numbers.tolist(), strict=True))
    assert by_id == {0: 0, 1: 0, 2: 1, 3: 2, 4: 0}


def test_parts_stand_for_the_whole_where_together_they_show_most_of_it():
    votes = row_votes([[range(5), range(5, 9)], [range(5)]], 30)
    numbers = painted(overlap_of(votes, GROUP), THINGS)
    assert numbers[votes.mask_view == 0].tolist() == [1, 1]
    assert numbers[votes.mask_view == 1].tolist() == [0]


def test_a_mask_of_two_objects_shows_neither():
    votes = row_votes([[range(20)]], 30)
    assert painted(overlap_of(votes, GROUP), THINGS).tolist() == [0, 0]


def test_of_equal_masks_the_surer_one_is_painted():
    views = [[range(9), range(1, 10)]]
    votes = row_votes(views, 30, [[0.2, 0.9]])
    numbers = painted(overlap_of(votes, GROUP), THINGS)
    assert dict(zip(votes.mask_id.tolist(), numbers.tolist(), strict=True)) == {0: 0, 1: 0, 2: 1}


def test_masks_can_be_left_out():
    votes = row_votes([[range(8), range(10)]], 30)
    left_out = votes.mask_id == 2
    numbers = painted(overlap_of(votes, GROUP), THINGS, left_out)
    assert dict(zip(votes.mask_id.tolist(), numbers.tolist(), strict=True)) == {0: 0, 1: 1, 2: 0}
