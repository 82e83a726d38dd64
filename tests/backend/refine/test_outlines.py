"""Outlines move onto edges of the photograph, by a rim and no further."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import maximum_filter, minimum_filter
from skimage.filters import sobel
from skimage.segmentation import watershed

from backend.refine import outlines
from backend.refine.outlines import outlined


def photograph(inside: np.ndarray) -> np.ndarray:
    image = np.where(inside[:, :, None], [200, 60, 60], [90, 120, 150])
    rng = np.random.default_rng(0)
    return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


def disc(radius: float) -> np.ndarray:
    y, x = np.indices((80, 100))
    return (y - 40) ** 2 + (x - 50) ** 2 < radius**2


def test_an_outline_that_is_off_by_a_pixel_snaps_to_the_edge():
    exact = disc(20)
    for radius in (19, 21):
        shown = disc(radius).astype(np.int32) * 3
        found = outlined(shown, photograph(exact))
        assert (shown != 3 * exact).sum() > 100
        assert (found != 3 * exact).sum() < 10
        assert set(np.unique(found)) == {0, 3}


def test_it_moves_no_further_than_the_rim():
    shown = disc(20).astype(np.int32)
    found = outlined(shown, photograph(disc(30)))
    assert not (found.astype(bool) & ~disc(22.5)).any()
    assert found[disc(17)].all()


def test_thin_parts_and_plain_maps_stay():
    shown = np.zeros((80, 100), np.int32)
    shown[40, 20:80] = 7
    shown[20:60, 10:12] = 2
    assert np.array_equal(outlined(shown, photograph(np.zeros((80, 100), bool))), shown)
    assert not outlined(np.zeros((80, 100), np.int32), photograph(disc(20))).any()


@pytest.mark.parametrize("seed", range(6))
def test_the_flood_of_the_rim_is_that_of_the_whole_image(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    shown = np.kron(rng.integers(0, 6, (7, 9)), np.ones((12, 12), int)).astype(np.int32)
    image = rng.integers(0, 256, (*shown.shape, 3), np.uint8)
    height = sobel(image.mean(2))
    monkeypatch.setattr(outlines, "_steepness", lambda _: height)
    sure = minimum_filter(shown, 5) == maximum_filter(shown, 5)
    # Every part is 12 pixels wide, so each has pixels outside the rim.
    assert np.array_equal(outlined(shown, image), watershed(height, np.where(sure, shown + 1, 0)) - 1)
