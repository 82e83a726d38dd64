"""Scores against cases counted by hand and against a plain count over pairs of ids."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion

from backend.evaluate.panoptic import boundary, panoptic_quality, resize_nearest
from protocol.errors import BadArgument


def strip(*ids: int) -> np.ndarray:
    return np.array([ids])


def test_a_perfect_answer_scores_100_whatever_its_ids():
    truth = [strip(0, 1, 1, 2), strip(2, 2, 0, 0)]
    score = panoptic_quality([strip(0, 7, 7, 4), strip(4, 4, 0, 0)], truth)
    assert (score.pq_things, score.pq_scene, score.mean_iou, score.boundary_iou) == (100, 100, 100, 100)
    assert (score.tp, score.fp, score.fn, score.views) == (2, 0, 0, 2)


def test_an_id_that_changes_between_views_loses_the_object():
    truth = [strip(1, 1, 1, 0), strip(1, 1, 1, 0)]
    score = panoptic_quality([strip(1, 1, 1, 0), strip(2, 2, 2, 0)], truth)
    assert (score.tp, score.fp, score.fn) == (0, 2, 1), "IoU of each half is exactly 0.5, which is not a match"
    assert score.pq_things == 0
    assert score.pq_scene == 50, "the background alone is right"


def test_hand_counted_mixture():
    # object 1: 4 of 5 pixels found (IoU 4/5); object 2 missed; a predicted object on background.
    truth = [strip(1, 1, 1, 1, 1, 2, 0, 0, 0, 0)]
    predicted = [strip(3, 3, 3, 3, 0, 0, 0, 0, 0, 9)]
    score = panoptic_quality(predicted, truth)
    assert (score.tp, score.fp, score.fn) == (1, 1, 1)
    assert score.sq == pytest.approx(80)
    assert score.rq == pytest.approx(50)
    assert score.pq_things == pytest.approx(40)
    assert score.pq_scene == pytest.approx(50 * 0.4), "background IoU is 3/6, not above one half"
    assert score.mean_iou == pytest.approx(40)


def test_nothing_predicted_and_nothing_there():
    score = panoptic_quality([strip(0, 0)], [strip(0, 0)])
    assert (score.pq_things, score.pq_scene, score.tp) == (0, 50, 0)


def test_lists_must_match():
    with pytest.raises(BadArgument, match="1 predicted and 2 ground-truth id maps cannot be compared"):
        panoptic_quality([strip(0)], [strip(0), strip(0)])


def test_predictions_of_another_size_are_resized_without_mixing_ids():
    small = np.array([[1, 5], [0, 5]])
    large = resize_nearest(small, (4, 6))
    assert large.tolist() == [[1, 1, 1, 5, 5, 5]] * 2 + [[0, 0, 0, 5, 5, 5]] * 2
    assert panoptic_quality([small], [large]).pq_scene == 100


def test_boundary_is_the_mask_less_its_erosion():
    rng = np.random.default_rng(3)
    ids = np.kron(rng.integers(0, 4, (6, 7)), np.ones((17, 15), int))
    reach = round(0.02 * math.hypot(*ids.shape))
    assert reach == 3
    edges = boundary(ids)
    for label in range(4):
        mask = ids == label
        eroded = np.asarray(binary_erosion(mask, np.ones((3, 3)), iterations=reach, border_value=0), bool)
        assert np.array_equal(edges & mask, mask & ~eroded)


@given(st.lists(st.integers(0, 4), min_size=12, max_size=12), st.lists(st.integers(0, 4), min_size=12, max_size=12))
def test_agrees_with_a_plain_count_over_pairs(predicted, truth):
    p, t = np.array(predicted).reshape(3, 4), np.array(truth).reshape(3, 4)
    score = panoptic_quality([p], [t])
    ious = []
    for a in set(truth) - {0}:
        for b in set(predicted) - {0}:
            iou = np.sum((t == a) & (p == b)) / np.sum((t == a) | (p == b))
            if iou > 0.5:
                ious.append(iou)
    n = len(set(truth) - {0}) + len(set(predicted) - {0})
    expected = 100 * sum(ious) / (n / 2) if n else 0
    assert score.pq_things == pytest.approx(expected)
    assert 0 <= score.boundary_iou <= 100
