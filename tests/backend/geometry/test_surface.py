"""Voxels grow until enough samples share them."""

import numpy as np

from backend.geometry.surface import COARSEST, KEPT, Samples, seen_samples, voxels
from backend.scene.types import Camera
from protocol.splats import Splats


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


def test_samples_know_whether_they_are_at_the_border_of_their_image():
    means = np.random.default_rng(0).uniform([-2, -2, 2], [2, 2, 2.1], (4000, 3)).astype(np.float32)
    splats = Splats(
        means,
        np.tile(np.array([1, 0, 0, 0], np.float32), (4000, 1)),
        np.full((4000, 3), np.log(0.1), np.float32),
        np.full(4000, 4, np.float32),
        np.zeros((4000, 1, 3), np.float32),
    )
    camera = Camera(np.eye(4), np.array([[150.0, 0, 150], [0, 150.0, 100], [0, 0, 1]]), 300, 200)
    found = seen_samples(splats, [camera], "cpu")
    assert found.at_border is not None
    # 300 x 200 pixels are sampled at every second pixel.
    assert len(found.points) == 150 * 100
    assert found.at_border.sum() == 2 * (150 + 100) - 4
    pixel = found.points[:, :2] / found.points[:, 2:] * 150 + [150, 100]
    inside = ((pixel > 2) & (pixel < [298, 198])).all(1)
    np.testing.assert_array_equal(found.at_border, ~inside)
