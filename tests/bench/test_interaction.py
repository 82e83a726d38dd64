"""What the oracle corrects first."""

from __future__ import annotations

import numpy as np

from bench.interaction import made_evidence, with_parts, worst_pairs


def test_the_pair_with_the_most_wrong_weight_comes_first():
    # Label 1 holds objects 1 and 2, label 2 a fragment of object 1; object 3 was missed.
    exact = np.repeat([1, 1, 2, 3, 0], [6, 3, 4, 2, 5]).astype(np.int32)
    labels = np.repeat([1, 2, 1, 0, 0], [6, 3, 4, 2, 5]).astype(np.int32)
    assert list(worst_pairs(exact, labels, np.ones(20))) == [(2, 1, -1), (1, 2, 1), (3, 0, -1)]


def test_one_made_object_in_ten_is_in_two_pieces():
    found = made_evidence(2000, 20, seed=0, views=10, each=6)
    assert sorted(set(found.label.tolist())) == list(range(1, 23))
    assert [int((found.label == label).sum()) for label in (9, 10, 21)] == [6, 3, 3]
    assert (found.first < found.second).all()


def test_parts_and_objects_without_parts_have_labels_of_their_own():
    labels, part = np.array([0, 1, 1, 2, 2], np.int32), np.array([3, 1, 2, 0, 0], np.int32)
    assert with_parts(labels, part).tolist() == [0, 3, 4, 2, 2]
