"""Label maps against a plain sum over labels."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.lift import label_map
from backend.render.types import Contributions
from backend.scene.types import Camera


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_is_the_argmax_of_blended_labels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    camera = Camera(np.eye(4), np.eye(3), 5, 4)
    weights = rng.dirichlet(np.full(7, 0.7), 20)[:, :6].astype(np.float32)
    found = Contributions(np.arange(20), rng.integers(0, 30, (20, 6)).astype(np.int32), weights)
    labels = rng.integers(0, 4, 30).astype(np.int32)
    blended = np.zeros((20, 4))
    for j in range(6):
        np.add.at(blended, (np.arange(20), labels[found.ids[:, j]]), weights[:, j].astype(np.float64))
    blended[:, 0] += 1 - weights.sum(1, dtype=np.float64)
    top = np.sort(blended, axis=1)
    clear = top[:, -1] - top[:, -2] > 1e-5
    np.testing.assert_array_equal(label_map(found, labels, camera).ravel()[clear], blended.argmax(1)[clear])


def test_light_that_passes_is_background() -> None:
    camera = Camera(np.eye(4), np.eye(3), 2, 1)
    weights = np.array([[0.3, 0.1], [0.3, 0.25]], np.float32)
    found = Contributions(np.arange(2), np.array([[0, 1], [0, 1]], np.int32), weights)
    assert label_map(found, np.array([5, 5]), camera).tolist() == [[0, 5]]


def test_pixels_left_out_are_background() -> None:
    camera = Camera(np.eye(4), np.eye(3), 3, 1)
    found = Contributions(np.array([2]), np.zeros((1, 1), np.int32), np.ones((1, 1), np.float32))
    assert label_map(found, np.array([9]), camera).tolist() == [[0, 0, 9]]
