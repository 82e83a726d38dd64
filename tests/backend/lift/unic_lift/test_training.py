"""Training on contributions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.lift.embedding.samples import ViewSamples
from backend.lift.unic_lift.decode import bits
from backend.lift.unic_lift.settings import UnicLiftSettings
from backend.lift.unic_lift.training import train
from backend.progress import silent

CHANGES = [{}, {"push": "plain"}, {"regularise_from": 0.5}, {"squash": "gaussian", "push": "plain"}]


@pytest.mark.parametrize("change", CHANGES)
def test_segments_end_on_codes_of_their_own(change: dict) -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), 30)
    means = (np.eye(4)[truth][:, :3] * 5 + rng.normal(0, 0.1, (120, 3))).astype(np.float32)
    views = []
    for _ in range(4):
        segment = rng.permutation(4)[truth].astype(np.int32)
        ids = np.arange(120, dtype=np.int32)[:, None]
        views.append(
            ViewSamples(ids, np.ones((120, 1), np.float32), segment, rng.random(120) < 0.5, np.ones(120, np.float32))
        )
    settings = UnicLiftSettings(steps=150, pixels=200, neighbour_sample=64, **change)
    found = train(views, means, 50.0, settings, "cpu", 0, silent)
    assert found.semantic is None
    embedding = found.embedding
    codes = bits(embedding)
    most = [np.unique(codes[truth == t], return_counts=True) for t in range(4)]
    assert len({int(c[n.argmax()]) for c, n in most}) == 4
    assert min(n.max() for _, n in most) >= 28
    again = train(views, means, 50.0, settings, "cpu", 0, silent)
    np.testing.assert_array_equal(embedding, again.embedding)


def test_void_can_be_left_out_of_training() -> None:
    segment = np.repeat([0, 1, 2], 10).astype(np.int32)
    ids = np.arange(30, dtype=np.int32)[:, None]
    views = [ViewSamples(ids, np.ones((30, 1), np.float32), segment, segment > 5, np.ones(30, np.float32))]
    means = np.random.default_rng(0).random((30, 3)).astype(np.float32)
    settings = UnicLiftSettings(steps=20, lambda_3d=0, void_is_segment=False)
    still, longer = (train(views, means, 10.0, replace(settings, steps=n), "cpu", 0, silent).embedding for n in (1, 20))
    np.testing.assert_array_equal(still[:10], longer[:10])
    assert (still[10:] != longer[10:]).all()


def test_the_semantic_value_learns_what_masks_cover_and_leaves_the_codes_alone() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 40)
    means = rng.random((120, 3)).astype(np.float32)
    views = []
    for number in range(6):
        segment = rng.permutation([1, 2])[truth - 1].astype(np.int32)
        # One object is missed in a view.
        segment[(truth == 0) | ((truth == 1) & (number == 0))] = 0
        ids = np.arange(120, dtype=np.int32)[:, None]
        views.append(
            ViewSamples(ids, np.ones((120, 1), np.float32), segment, rng.random(120) < 0.5, np.ones(120, np.float32))
        )
    settings = UnicLiftSettings(steps=120, lambda_3d=0, void_is_segment=False, lambda_semantic=1.0)
    found = train(views, means, 1.0, settings, "cpu", 0, silent)
    assert found.embedding.shape == (120, 12)
    assert found.semantic is not None
    np.testing.assert_array_equal(found.semantic > 0, truth > 0)
    # Background is no segment, so its codes stay where they began: near 0.
    assert np.abs(found.embedding[truth == 0]).max() < 0.6 < np.abs(found.embedding[truth > 0]).max(1).min()


def test_pixels_drawn_more_often_count_less_in_the_semantic_value() -> None:
    """Gaussian 0 lies on a mask in half of the pixels that were drawn, which stand for a share of those of the view."""
    ids = np.zeros((40, 1), np.int32)
    segment = np.tile([0, 1], 20).astype(np.int32)
    settings = UnicLiftSettings(steps=300, lambda_3d=0, lambda_triplet=0, lambda_semantic=1.0)
    for share in (0.1, 0.9):
        stands_for = np.where(segment > 0, share, 1 - share).astype(np.float32)
        views = [ViewSamples(ids, np.ones((40, 1), np.float32), segment, segment > 1, stands_for)]
        found = train(views, np.zeros((2, 3), np.float32), 1.0, settings, "cpu", 0, silent)
        assert found.semantic is not None
        assert abs(1 / (1 + np.exp(-found.semantic[0])) - share) < 0.05
