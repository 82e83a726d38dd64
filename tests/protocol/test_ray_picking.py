"""Rays through Gaussians: which they meet, in which order and with what weight."""

from __future__ import annotations

import numpy as np
import pytest

from protocol.ray_picking import RayIndex, composited, label_of
from protocol.splats import Splats

ALONG_Z = np.array([0.0, 0.0, 1.0])


def splats(means: list, scales: list | None = None, opacity: float = 0.5, quats: list | None = None) -> Splats:
    count = len(means)
    logit = np.log(opacity / (1 - opacity))
    return Splats(
        np.array(means, np.float32).reshape(count, 3),
        np.array(quats or [[1, 0, 0, 0]] * count, np.float32).reshape(count, 4),
        np.log(np.array(scales or [[0.1] * 3] * count, np.float32)).reshape(count, 3),
        np.full(count, logit, np.float32),
        np.zeros((count, 1, 3), np.float32),
    )


def test_weights_are_composited_front_to_back() -> None:
    index = RayIndex(splats([[0, 0, 5], [0, 0, 2], [0, 0, -3], [4, 0, 2]]))
    hits = index.hits(np.zeros(3), 2.0 * ALONG_Z)
    assert hits.rows.tolist() == [1, 0]
    np.testing.assert_allclose(hits.weights, [0.5, 0.25], rtol=1e-6)
    np.testing.assert_allclose(hits.distances, [1.0, 2.5], rtol=1e-6)


def test_alpha_falls_with_the_distance_in_standard_deviations() -> None:
    index = RayIndex(splats([[0.15, 0, 2]]))
    np.testing.assert_allclose(index.hits(np.zeros(3), ALONG_Z).weights, [0.5 * np.exp(-0.5 * 1.5**2)], rtol=1e-5)


def test_a_turned_flat_gaussian_is_met_where_it_lies() -> None:
    # Long in x, turned by a quarter about z: long in y.
    half = np.sqrt(0.5)
    index = RayIndex(splats([[0, 0, 2]], [[0.5, 0.01, 0.01]], quats=[[half, 0, 0, half]]))
    assert len(index.hits(np.array([0.0, 0.4, 0]), ALONG_Z).rows) == 1
    assert len(index.hits(np.array([0.4, 0, 0]), ALONG_Z).rows) == 0


def test_the_first_pass_loses_nothing_far_from_the_origin() -> None:
    rng = np.random.default_rng(0)
    centre = np.array([500.0, -200.0, 100.0])
    means = rng.uniform(-3, 3, (3000, 3)) + centre
    scales = rng.uniform(0.005, 0.2, (3000, 3))
    index = RayIndex(splats(means.tolist(), scales.tolist(), 0.2))
    for _ in range(20):
        origin = rng.uniform(-5, 5, 3) + centre
        unit = centre + rng.uniform(-2, 2, 3) - origin
        unit /= np.linalg.norm(unit)
        hits = index.hits(origin, unit)
        everything = composited(index._exact(np.arange(3000), origin, unit, 1.0))
        assert len(hits.rows) > 5
        np.testing.assert_array_equal(hits.rows, everything.rows)
        np.testing.assert_allclose(hits.weights, everything.weights, rtol=1e-9)


@pytest.mark.parametrize(("labels", "expected"), [([1, 2], 1), ([0, 2], 0), ([2, 2], 2)])
def test_the_label_with_most_weight_wins(labels: list[int], expected: int) -> None:
    hits = RayIndex(splats([[0, 0, 2], [0, 0, 3]], opacity=0.7)).hits(np.zeros(3), ALONG_Z)
    assert label_of(hits, np.array(labels)) == expected


def test_nothing_is_met_in_an_empty_or_transparent_scene() -> None:
    for each in (splats([]), splats([[0, 0, 2]], opacity=0.003)):
        hits = RayIndex(each).hits(np.zeros(3), ALONG_Z)
        assert len(hits.rows) == len(hits.weights) == 0
        assert label_of(hits, np.ones(len(each), int)) == 0
