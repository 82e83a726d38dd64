"""Neighbours and the extent of a scene."""

from __future__ import annotations

import numpy as np
import pytest

from backend.lift.embedding.neighbours import neighbours, scene_extent


def test_neighbours_lie_within_the_radius() -> None:
    means = np.array([[0, 0, 0], [1, 0, 0], [1.5, 0, 0], [9, 0, 0]], np.float32)
    near, inside = neighbours(means, 1.2, 2)
    assert inside.tolist() == [[1, 0], [1, 1], [1, 0], [0, 0]]
    assert near[0, 0] == 1
    assert near[1].tolist() == [2, 0]
    assert near[2, 0] == 1


def test_extent_follows_the_unit_of_the_scene() -> None:
    means = np.random.default_rng(0).random((1000, 3)).astype(np.float32)
    means[0] = 1e6
    seen = np.ones(1000, bool)
    assert scene_extent(means, seen) == pytest.approx(0.9 * 3**0.5, rel=0.05)
    assert scene_extent(10 * means, seen) == pytest.approx(10 * scene_extent(means, seen), rel=1e-4)
    assert scene_extent(np.zeros((3, 3), np.float32), seen[:3]) > 0
