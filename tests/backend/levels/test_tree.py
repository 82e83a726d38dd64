"""Which part belongs to which object."""

from __future__ import annotations

import numpy as np

from backend.levels.tree import parts_of_wholes, wholes_of_parts


def test_parts_belong_to_the_object_that_holds_most_of_them():
    labels = np.array([1] * 8 + [2] * 4 + [0] * 2, np.int32)
    group = np.array([0, 0, 0, -1, 1, 1, 1, 1, 1, 2, 2, 2, -1, -1], np.int32)
    means = np.column_stack([np.arange(14.0), np.zeros(14), np.zeros(14)]).astype(np.float32)
    found = parts_of_wholes(means, labels, group)
    # Object 1 has parts 1 (the larger) and 2; the rest joins the nearest. Object 2 has one part, so none.
    assert found.part.tolist() == [2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert found.whole.tolist() == [0, 1, 1]


def test_parts_of_one_object_share_a_number():
    labels = np.array([1, 1, 1, 2, 2, 3, 0], np.int32)
    whole = np.array([4, 4, -1, 4, 4, 1, -1], np.int32)
    found = wholes_of_parts(labels, whole)
    assert found.whole.tolist() == [0, 1, 1, 2]
    assert found.part is labels


def test_a_part_of_no_known_object_is_one_of_its_own():
    labels = np.array([1, 1, 2], np.int32)
    found = wholes_of_parts(labels, np.array([3, 3, -1], np.int32))
    assert found.whole.tolist() == [0, 1, 2]


def test_nothing_has_no_parts():
    nothing = np.zeros(3, np.int32)
    assert parts_of_wholes(np.zeros((3, 3), np.float32), nothing, nothing - 1).whole.tolist() == [0]
    assert wholes_of_parts(nothing, nothing - 1).whole.tolist() == [0]
