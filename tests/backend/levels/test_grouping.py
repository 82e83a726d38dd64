"""What masks hold together: wholes in spite of parts, parts in spite of wholes."""

from __future__ import annotations

import numpy as np

from backend.levels.grouping import membership, parts, wholes
from tests.backend.levels.rows import row_votes

# Gaussians 0-5 and 6-11 are the halves of one object, 12-17 another object.
WHOLE, LEFT, RIGHT, OTHER = range(12), range(6), range(6, 12), range(12, 18)
REGION = np.repeat(np.arange(6, dtype=np.int32), 3)
MEANS = np.column_stack([np.arange(18.0), np.zeros(18), np.zeros(18)]).astype(np.float32)


def test_a_mask_of_the_whole_outweighs_masks_of_its_parts():
    views = [[WHOLE, LEFT, RIGHT, OTHER], [WHOLE, OTHER], [LEFT, RIGHT, OTHER], [WHOLE, RIGHT, OTHER]]
    found = wholes(row_votes(views, 18), MEANS, REGION, 0.5)
    assert found.tolist() == [0] * 12 + [1] * 6


def test_a_mask_of_two_objects_is_outvoted():
    views = [[WHOLE, OTHER], [range(18)], [WHOLE, OTHER], [WHOLE, OTHER]]
    found = wholes(row_votes(views, 18), MEANS, REGION, 0.5)
    assert found.tolist() == [0] * 12 + [1] * 6


def test_doubtful_masks_count_less():
    views = [[WHOLE, OTHER], [range(18)], [range(18)], [WHOLE, OTHER], [range(18)]]
    scores = [[0.9, 0.9], [0.3], [0.2], [0.8, 0.8], [0.1]]
    assert wholes(row_votes(views, 18), MEANS, REGION, 0.5).max() == 0
    assert wholes(row_votes(views, 18, scores), MEANS, REGION, 0.5).tolist() == [0] * 12 + [1] * 6


def test_parts_are_told_by_masks_of_parts_within_their_whole():
    views = [[WHOLE, LEFT, RIGHT, OTHER], [WHOLE, LEFT, RIGHT, OTHER], [WHOLE, LEFT, OTHER], [range(18)]]
    votes = row_votes(views, 18)
    whole = np.repeat(np.array([0, 0, 1], np.int32), 6)
    counted = np.ones(votes.evidence.masks + 1, bool)
    found = parts(votes.finest(counted), REGION, whole, 0.6)
    assert found.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    unknown = np.where(np.arange(18) < 3, -1, REGION).astype(np.int32)
    assert (parts(votes.finest(counted), unknown, whole, 0.6)[:3] == -1).all()


def test_membership_tells_shares_of_what_a_view_shows():
    votes = row_votes([[range(2), OTHER], [WHOLE]], 18)
    member = membership(votes, REGION)
    first = slice(member.start[0], member.start[1])
    assert member.mask[first].tolist() == [2, 3] or member.mask[first].tolist() == [1, 3]
    assert np.allclose(member.share[first], [2 / 3, 1])
    assert member.start[6] - member.start[5] == 1  # the other object is in one mask of one view
    assert len(membership(votes, np.full(18, -1, np.int32)).mask) == 0
