"""The benchmark's scenes: repeatable, exact where they say so, and noisy as named."""

from __future__ import annotations

import numpy as np
import pytest

from bench.scenes import PROFILES, MadeScene, Noise, make_scene, spoil, with_noise


def test_is_repeatable_and_exact(made: MadeScene) -> None:
    again = make_scene(objects=5, gaussians=4000, views=12, test_views=3, size=64, noise="mild", seed=3)
    np.testing.assert_array_equal(made.splats.means, again.splats.means)
    np.testing.assert_array_equal(made.train[4].mask, again.train[4].mask)
    assert len(made.splats) == 4000
    assert sorted(set(made.labels)) == [0, 1, 2, 3, 4, 5]
    assert set(np.unique(np.stack(made.exact))) == {0, 1, 2, 3, 4, 5}
    assert set(np.unique(np.stack([view.mask for view in made.test]))) == {0, 1, 2, 3, 4, 5}


def test_rotations_face_the_surface(made: MadeScene) -> None:
    """The thin axis of floor Gaussians points up or down."""
    _, x, y, z = made.splats.quats.T
    floor = (made.labels == 0) & (np.abs(made.splats.means[:, 2]) < 1e-5)
    up = 1 - 2 * (x * x + y * y)
    assert floor.sum() > 100
    np.testing.assert_allclose(np.abs(up[floor]), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(made.splats.quats, axis=1), 1, atol=1e-5)
    assert np.abs(z).max() == 0
    assert (made.splats.scales[:, 2] < made.splats.scales[:, 0]).all()


def blocks() -> np.ndarray:
    """Sixteen squares of 20 pixels in pairs that touch."""
    mask = np.zeros((200, 200), np.int32)
    for i in range(16):
        y, x = 10 + 48 * (i // 4), 4 + 46 * (i % 4) + (0 if i % 2 == 0 else -26)
        mask[y : y + 20, x : x + 20] = i + 1
    return mask


def test_clean_is_the_same_partition() -> None:
    exact = blocks()
    got = spoil(exact, PROFILES["clean"], np.random.default_rng(0))
    pairs = set(zip(exact.ravel().tolist(), got.ravel().tolist(), strict=True))
    assert len(pairs) == 17
    assert (0, 0) in pairs


@pytest.mark.parametrize(
    ("noise", "expected"), [(Noise(drop=0.25), 12.0), (Noise(merge=0.25), 14.0), (Noise(split=0.25), 20.0)]
)
def test_rates_are_as_named(noise: Noise, expected: float) -> None:
    rng = np.random.default_rng(0)
    counts = [len(np.unique(spoil(blocks(), noise, rng))) - 1 for _ in range(60)]
    assert np.mean(counts) == pytest.approx(expected, abs=0.7)


def test_outlines_wobble_by_pixels() -> None:
    exact = blocks()
    got = spoil(exact, Noise(wobble=2.0), np.random.default_rng(0))
    changed = (got > 0) != (exact > 0)
    assert 0.02 < changed.mean() < 0.15
    inner = np.zeros_like(exact, bool)
    inner[18:22, 12:16] = True
    assert (got[inner] > 0).all()


def test_ids_are_fresh_in_every_view(made: MadeScene) -> None:
    other = with_noise(made, "clean", seed=1)
    ids = [int(v.mask[e == 1][0]) for v, e in zip(other.train, made.exact, strict=True) if (e == 1).any()]
    assert len(set(ids)) > 1
