"""Training of contrastive features on contributions that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from backend.lift.contrastive.settings import ContrastiveSettings
from backend.lift.contrastive.training import Pixels, _sum, train_features
from backend.lift.embedding.samples import ViewSamples
from backend.progress import silent

TRUTH = np.repeat(np.arange(4), 30)
MEANS = (np.eye(4)[TRUTH][:, :3] * 5 + np.random.default_rng(0).normal(0, 0.1, (120, 3))).astype(np.float32)
SETTINGS = ContrastiveSettings(iterations=10_000, anchors=10)


def views(device: str = "cpu") -> list[Pixels]:
    """Views of one pixel per Gaussian, in which each object has another id."""
    rng = np.random.default_rng(0)
    ids, weights = np.arange(120, dtype=np.int32)[:, None], np.ones((120, 1), np.float32)
    segments = [rng.permutation([1, 2, 5, 9])[TRUTH].astype(np.int32) for _ in range(4)]
    return [
        Pixels(ViewSamples(ids, weights, s, np.zeros(120, bool), weights[:, 0]), 1_000_000, device) for s in segments
    ]


def cosines(features: np.ndarray) -> np.ndarray:
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    return unit @ unit.T


def test_an_object_ends_on_one_feature_of_its_own() -> None:
    features = train_features(views(), MEANS, SETTINGS, "cpu", 0, silent)
    assert features.shape == (120, 16)
    alike = TRUTH[:, None] == TRUTH[None]
    assert np.percentile(cosines(features)[alike], 5) > 0.6
    assert np.percentile(cosines(features)[~alike], 99) < 0.4
    apart = train_features(views(), MEANS, replace(SETTINGS, lambda_near=0.0, lambda_far=0.0), "cpu", 0, silent)
    assert cosines(apart)[alike].min() > 0.8
    assert cosines(apart)[~alike].max() < 0.2


def test_same_seed_same_features() -> None:
    short = replace(SETTINGS, iterations=500)
    first, second, other = (train_features(views(), MEANS, short, "cpu", seed, silent) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


@pytest.mark.parametrize(("change", "steps"), [({"cluster_every": 50}, 2), ({"cluster_every": 101}, 1)])
def test_losses_come_at_their_own_pace(change: dict, steps: int) -> None:
    """A first step of Adam moves every value by the learning rate, and only rows with a gradient."""
    settings = replace(SETTINGS, iterations=100, spatial_every=100, anchors=1, far_pool=1, learning_rate=0.01, **change)
    start = train_features(views(), MEANS, replace(settings, iterations=1), "cpu", 0, silent)
    moved = np.abs(train_features(views(), MEANS, settings, "cpu", 0, silent) - start).max(1)
    assert (moved > 0.005).sum() == (120 if steps == 2 else 4)


def test_a_pixel_stands_for_several_and_void_is_left_out() -> None:
    segment = np.array([0, 3, 3, 7], np.int32)
    view = ViewSamples(
        np.zeros((4, 2), np.int32), np.ones((4, 2), np.float32), segment, np.zeros(4, bool), np.ones(4, np.float32)
    )
    pixels = Pixels(view, 600, "cpu")
    assert pixels.segment.tolist() == [0, 0, 1]
    assert pixels.ids.shape == (3, 2)
    assert pixels.scale == 200


def test_gradients_of_a_row_add_up() -> None:
    rows, gradient = _sum(
        [(torch.tensor([1, 4]), torch.tensor([[1.0], [2.0]])), (torch.tensor([0, 4]), torch.tensor([[3.0], [5.0]]))]
    )
    assert rows.tolist() == [0, 1, 4]
    assert gradient[:, 0].tolist() == [3, 1, 7]
