"""The benchmark's scenes: repeatable, exact where they say so, and noisy as named."""

from __future__ import annotations

import numpy as np

from backend.demo.noise import Noise
from backend.scene.types import VOID
from bench.scenes import MadeScene, make_scene, with_noise


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


def test_ids_are_fresh_in_every_view(made: MadeScene) -> None:
    other = with_noise(made, "clean", seed=1)
    ids = [int(v.mask[e == 1][0]) for v, e in zip(other.train, made.exact, strict=True) if (e == 1).any()]
    assert len(set(ids)) > 1


def test_what_is_missed_can_be_void(made: MadeScene) -> None:
    how = {"objects": 5, "gaussians": 4000, "views": 12, "test_views": 3, "size": 64, "seed": 3}
    merged, void = (make_scene(**how, noise=Noise(drop=0.5), void=void) for void in (False, True))
    missed = 0
    for like_background, own, exact in zip(merged.train, void.train, void.exact, strict=True):
        np.testing.assert_array_equal(np.where(own.mask < 0, 0, own.mask), like_background.mask)
        assert (exact[own.mask == VOID] > 0).all()
        assert (own.mask[exact > 0] != 0).all()
        missed += len(np.unique(exact[own.mask == VOID]))
    assert missed > 10
