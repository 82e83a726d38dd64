"""Pixels to train on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.lift.embedding.samples import at_boundary, sample_view
from backend.render import Renderer
from backend.scene.types import VOID
from bench.scenes import MadeScene


def test_samples_hold_what_makes_their_pixels(made: MadeScene) -> None:
    view = made.train[0]
    how = {"pixels": 300, "boundary_pixels": 100, "band": 1, "strongest": 4}
    found = sample_view(Renderer(made.splats, "cpu"), view, **how, rng=np.random.default_rng(0))
    assert 100 < len(found.segment) <= 400
    np.testing.assert_allclose(found.weights.sum(1), 1, rtol=1e-5)
    assert (np.diff(found.weights, axis=1) <= 0).all()
    assert set(np.unique(found.segment)) <= set(np.unique(view.mask))
    # Most pixels show mainly Gaussians of one object, or none.
    assert ((made.labels[found.ids[:, 0]] > 0) == (found.segment > 0)).mean() > 0.8
    assert 0 < found.boundary.sum() < len(found.boundary)


def test_no_pixel_of_void_is_drawn_and_it_makes_no_boundary(made: MadeScene) -> None:
    view = made.train[0]
    mask = view.mask.copy()
    mask[:, 32:] = VOID
    how = {"pixels": 1000, "boundary_pixels": 300, "band": 1, "strongest": 4}
    found = sample_view(Renderer(made.splats, "cpu"), replace(view, mask=mask), **how, rng=np.random.default_rng(0))
    assert found.segment.min() == 0
    edge = at_boundary(mask, 1)
    np.testing.assert_array_equal(edge[:, :31], at_boundary(view.mask, 1)[:, :31])
    np.testing.assert_array_equal(edge[:, :32], at_boundary(view.mask[:, :32], 1))
    assert not edge[:, 32:].any()
