"""Non-maximum suppression by hand-made boxes."""

from __future__ import annotations

import numpy as np

from backend.segmenter.boxes import best_of_each, box_of


def test_a_box_ends_behind_the_last_pixel():
    mask = np.zeros((5, 6), bool)
    mask[1:4, 2] = True
    assert box_of(mask) == (2, 1, 3, 4)


def test_of_boxes_that_overlap_the_best_is_kept():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10], [0, 0, 10, 4]], float)
    scores = np.array([0.8, 0.9, 0.5, 0.7])
    assert best_of_each(boxes, scores, 0.7) == [1, 3, 2]


def test_an_overlap_of_just_the_bound_is_kept():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5]], float)
    assert best_of_each(boxes, np.array([0.9, 0.8]), 0.5) == [0, 1]
    assert best_of_each(boxes, np.array([0.9, 0.8]), 0.49) == [0]


def test_no_boxes_leave_none():
    assert best_of_each(np.zeros((0, 4)), np.zeros(0), 0.7) == []
