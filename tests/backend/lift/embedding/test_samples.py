"""Pixels to train on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

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


def test_pixels_stand_for_those_that_were_not_drawn(made: MadeScene) -> None:
    view = made.train[0]
    how = {"pixels": 300, "boundary_pixels": 100, "band": 1, "strongest": 4}
    renderer = Renderer(made.splats, "cpu")
    edge = at_boundary(view.mask, 1)
    held: dict[tuple[bool, bool], list[float]] = {}
    for seed in range(20):
        found = sample_view(renderer, view, **how, rng=np.random.default_rng(seed))
        for of_mask in (False, True):
            for of_edge in (False, True):
                rows = ((found.segment > 0) == of_mask) & (found.boundary == of_edge)
                held.setdefault((of_mask, of_edge), []).append(float(found.stands_for[rows].sum()))
    shown = np.zeros(view.mask.size, bool)
    everything = renderer.contributions(view.camera, np.arange(view.mask.size), 1)
    shown[everything.pixels[everything.weights[:, 0] > 0]] = True
    for (of_mask, of_edge), sums in held.items():
        pixels = ((view.mask > 0) == of_mask) & (edge == of_edge) & shown.reshape(view.mask.shape)
        assert np.mean(sums) == pytest.approx(np.count_nonzero(pixels), rel=0.05)
