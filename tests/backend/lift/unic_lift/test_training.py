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
