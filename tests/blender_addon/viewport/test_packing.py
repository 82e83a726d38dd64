"""Gaussians as the numbers that the shader reads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from blender_addon.viewport.packing import as_image, higher_as_texels, higher_texels, join, pack
from protocol.splats import SH_COUNTS, Splats


def some(n: int, degree: int = 1, seed: int = 0) -> Splats:
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return Splats(normal(n, 3), 2 * normal(n, 4), normal(n, 3), normal(n), normal(n, SH_COUNTS[degree], 3))


def test_values_are_activated() -> None:
    splats = some(5)
    packed = pack(splats)
    np.testing.assert_array_equal(packed.means, splats.means)
    np.testing.assert_array_equal(packed.base[:, 0, :3], splats.means)
    np.testing.assert_allclose(packed.base[:, 0, 3], 1 / (1 + np.exp(-splats.opacities)), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(packed.base[:, 1], axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(packed.base[:, 2, :3], np.exp(splats.scales), rtol=1e-6)
    np.testing.assert_allclose(packed.base[:, 3, :3], 0.5 + 0.28209479 * splats.sh[:, 0], rtol=1e-6)
    np.testing.assert_array_equal(packed.higher, splats.sh[:, 1:])


def test_what_is_not_finite_or_never_seen_is_left_out() -> None:
    splats = some(5)
    means, opacities, scales = splats.means.copy(), splats.opacities.copy(), splats.scales.copy()
    means[0, 1], opacities[2], scales[3, 0] = np.nan, -9, 200
    packed = pack(replace(splats, means=means, opacities=opacities, scales=scales))
    np.testing.assert_array_equal(packed.means, splats.means[[1, 4]])
    assert len(packed.base) == len(packed.higher) == 2


def test_objects_are_joined_with_their_numbers_and_the_highest_degree() -> None:
    one, other = pack(some(3, degree=0)), pack(some(2, degree=2, seed=1))
    both = join([one, other])
    assert both.base[:, 2, 3].tolist() == [0, 0, 0, 1, 1]
    assert both.higher.shape == (5, 8, 3)
    assert not both.higher[:3].any()
    np.testing.assert_array_equal(both.higher[3:], other.higher)
    assert one.base[0, 2, 3] == 0, "what was joined is as it was"
    assert join([]).means.shape == (0, 3)


@pytest.mark.parametrize(("coefficients", "texels"), [(0, 0), (3, 3), (8, 6), (15, 12)])
def test_triples_fill_texels_of_four(coefficients: int, texels: int) -> None:
    assert higher_texels(coefficients) == texels
    higher = np.random.default_rng(0).normal(size=(4, coefficients, 3)).astype(np.float32)
    flat = higher_as_texels(higher).reshape(4, 4 * texels)
    np.testing.assert_array_equal(flat[:, : 3 * coefficients], higher.reshape(4, -1))
    assert not flat[:, 3 * coefficients :].any()


def test_texels_fill_the_rows_of_an_image() -> None:
    values = np.arange(14, dtype=np.float32).reshape(7, 2)
    image = as_image(values, 3)
    assert image.shape == (3, 3, 2)
    np.testing.assert_array_equal(image.reshape(9, 2)[:7], values)
    assert not image.reshape(9, 2)[7:].any()
    assert as_image(values[:0], 3).shape == (1, 3, 2)
