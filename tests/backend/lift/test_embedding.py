"""Training on contributions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from backend.lift.decode import bits
from backend.lift.embedding import FADE, RowAdam, neighbours, scene_extent, train
from backend.lift.samples import ViewSamples, at_boundary, sample_view
from backend.lift.unic_lift import UnicLiftSettings
from backend.progress import silent
from backend.render import Renderer
from backend.scene.types import VOID
from bench.scenes import MadeScene


def test_row_adam_is_adam_on_the_rows_it_touches() -> None:
    start = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    table, dense = start.clone(), start.clone()[[1, 4]].requires_grad_()
    ours, theirs = RowAdam(table, 0.05), torch.optim.Adam([dense], lr=0.05, betas=FADE)
    for step in range(20):
        gradient = torch.randn(2, 3, generator=torch.Generator().manual_seed(step))
        ours.step(torch.tensor([1, 4]), gradient)
        dense.grad = gradient
        theirs.step()
    torch.testing.assert_close(table[[1, 4]], dense.detach(), rtol=1e-4, atol=1e-5)
    assert torch.equal(table[[0, 2, 3, 5]], start[[0, 2, 3, 5]])


def test_neighbours_lie_within_the_radius() -> None:
    means = np.array([[0, 0, 0], [1, 0, 0], [1.5, 0, 0], [9, 0, 0]], np.float32)
    near, inside = neighbours(means, 1.2, 2)
    assert inside.tolist() == [[1, 0], [1, 1], [1, 0], [0, 0]]
    assert near[0, 0] == 1
    assert near[1].tolist() == [2, 0]
    assert near[2, 0] == 1


def test_extent_follows_the_unit_of_the_scene() -> None:
    means = np.random.default_rng(0).random((1000, 3)).astype(np.float32)
    means[0] = 1e6
    seen = np.ones(1000, bool)
    assert scene_extent(means, seen) == pytest.approx(0.9 * 3**0.5, rel=0.05)
    assert scene_extent(10 * means, seen) == pytest.approx(10 * scene_extent(means, seen), rel=1e-4)
    assert scene_extent(np.zeros((3, 3), np.float32), seen[:3]) > 0


@pytest.mark.parametrize("change", [{}, {"push": "plain"}, {"regularise_from": 0.5}])
def test_segments_end_on_codes_of_their_own(change: dict) -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), 30)
    means = (np.eye(4)[truth][:, :3] * 5 + rng.normal(0, 0.1, (120, 3))).astype(np.float32)
    views = []
    for _ in range(4):
        segment = rng.permutation(4)[truth].astype(np.int32)
        ids = np.arange(120, dtype=np.int32)[:, None]
        views.append(ViewSamples(ids, np.ones((120, 1), np.float32), segment, rng.random(120) < 0.5))
    settings = UnicLiftSettings(steps=150, pixels=200, neighbour_sample=64, **change)
    embedding = train(views, means, 0.5, settings, "cpu", 0, silent)
    codes = bits(embedding)
    most = [np.unique(codes[truth == t], return_counts=True) for t in range(4)]
    assert len({int(c[n.argmax()]) for c, n in most}) == 4
    assert min(n.max() for _, n in most) >= 28
    again = train(views, means, 0.5, settings, "cpu", 0, silent)
    np.testing.assert_array_equal(embedding, again)


def test_void_can_be_left_out_of_training() -> None:
    segment = np.repeat([0, 1, 2], 10).astype(np.int32)
    views = [ViewSamples(np.arange(30, dtype=np.int32)[:, None], np.ones((30, 1), np.float32), segment, segment > 5)]
    means = np.random.default_rng(0).random((30, 3)).astype(np.float32)
    settings = UnicLiftSettings(steps=20, lambda_3d=0, void_is_segment=False)
    still, longer = (train(views, means, 0.1, replace(settings, steps=n), "cpu", 0, silent) for n in (1, 20))
    np.testing.assert_array_equal(still[:10], longer[:10])
    assert (still[10:] != longer[10:]).all()


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
