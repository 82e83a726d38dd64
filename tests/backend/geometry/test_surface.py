"""Voxels grow until enough samples share them."""

import numpy as np

from backend.geometry.surface import COARSEST, KEPT, Samples, voxels


def samples(points: np.ndarray, spacing: float) -> Samples:
    n = len(points)
    up = np.tile(np.array([0, 0, 1], np.float32), (n, 1))
    return Samples(points, np.ones((n, 3), np.float32), up, np.ones(n, np.float32), *empty(n), spacing)


def empty(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((n, 1), np.int32), np.ones((n, 1), np.float32)


def plane(n: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, (n, 3)) * [1, 1, 0]


def test_well_filled_voxels_keep_their_size():
    found = voxels(samples(plane(8000), 0.05))
    assert found.edge == 0.05
    assert (found.of_sample >= 0).mean() > 0.99


def test_sparse_samples_get_larger_voxels():
    found = voxels(samples(plane(800), 0.05))
    assert found.edge > 0.05
    assert (found.of_sample >= 0).mean() >= KEPT


def test_voxels_do_not_grow_beyond_a_limit():
    assert voxels(samples(plane(50), 0.01)).edge <= COARSEST * 0.01
