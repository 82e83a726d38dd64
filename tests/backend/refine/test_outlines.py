"""Outlines move onto edges of the photograph, by a rim and no further."""

from __future__ import annotations

import numpy as np

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
