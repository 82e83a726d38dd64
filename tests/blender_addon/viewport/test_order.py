"""Gaussians are drawn from the farthest to the nearest."""

from __future__ import annotations

import numpy as np

from blender_addon.viewport.order import back_to_front

AHEAD = np.array([0.0, 0.0, 1.0, 0.0])


def test_the_farthest_come_first() -> None:
    means = np.array([[0, 0, 3], [0, 0, 1], [5, 5, 2]], np.float32)
    assert back_to_front(means, [3], [AHEAD], 0.1).tolist() == [0, 2, 1]


def test_what_is_nearer_than_the_near_plane_or_hidden_is_left_out() -> None:
    means = np.array([[0, 0, 3], [0, 0, -1], [0, 0, 0.05], [0, 0, 2], [0, 0, 1]], np.float32)
    assert back_to_front(means, [3, 1, 1], [AHEAD, None, AHEAD], 0.1).tolist() == [0, 4]
    assert back_to_front(means, [3, 1, 1], [None, None, None], 0.1).tolist() == []
    assert back_to_front(means[:0], [0], [AHEAD], 0.1).tolist() == []


def test_each_object_is_as_far_as_its_own_matrix_says() -> None:
    means = np.array([[0, 0, 1], [0, 0, 1], [0, 0, 1]], np.float32)
    axes = [np.array([0, 0, 1.0, shift]) for shift in (1.0, 5.0, 3.0)]
    assert back_to_front(means, [1, 1, 1], axes, 0.1).tolist() == [1, 2, 0]


def test_many_depths_are_told_apart_exactly() -> None:
    rng = np.random.default_rng(0)
    depths = np.concatenate([rng.uniform(1, 3, 50_000), [1e6]]).astype(np.float32)
    means = np.stack([np.zeros_like(depths), np.zeros_like(depths), depths], 1)
    order = back_to_front(means, [len(depths)], [AHEAD], 0.1).astype(int)
    assert order[0] == 50_000
    assert sorted(order) == list(range(50_001))
    assert np.diff(depths[order]).max() <= 0


def test_a_flat_view_may_show_what_is_behind_its_origin() -> None:
    means = np.array([[0, 0, z] for z in (-3.0, 2.0, -1.0, 0.0, 1.0)], np.float32)
    assert back_to_front(means, [5], [AHEAD], -10.0).tolist() == [1, 4, 3, 2, 0]
