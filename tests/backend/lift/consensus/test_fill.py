"""Labels of Gaussians that no view shows."""

from __future__ import annotations

import numpy as np

from backend.lift.consensus.fill import fill_from_neighbours

MEANS = np.stack([np.arange(12.0), np.zeros(12), np.zeros(12)], 1).astype(np.float32)


def test_unseen_gaussians_take_their_neighbours_label() -> None:
    label = np.array([1, 1, 1, 0, 0, 2, 2, 2, 2, 2, 2, 0], np.int32)
    known = label > 0
    filled = fill_from_neighbours(MEANS, label, known, k=3)
    assert filled.tolist() == [1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2]
    assert fill_from_neighbours(MEANS, label, np.zeros(12, bool)) is label


def test_many_gaussians_are_filled_alike_near_by_and_by_the_same_surface_far_off():
    rng = np.random.default_rng(0)
    known = rng.uniform(-1, 1, (30_000, 3)) * [1, 1, 0] + rng.choice([-2.0, 2.0], 30_000)[:, None] * [0, 0, 1]
    near = known[:500] + 1e-4
    far = rng.uniform(-1, 1, (500, 3)) * [1, 1, 0] + rng.choice([-5.0, 1.0], 500)[:, None] * [0, 0, 1]
    means = np.concatenate([known, near, far]).astype(np.float32)
    label = np.where(known[:, 2] > 0, 1, 2)
    label[(known[:, 2] > 0) & (known[:, 0] > 0)] = 3
    start = np.concatenate([label, np.zeros(1000)]).astype(np.int32)
    filled = fill_from_neighbours(means, start, np.arange(31_000) < 30_000)
    assert (filled[:30_000] == label).all()
    edge = np.abs(near[:, 0]) < 0.02
    assert (filled[30_000:30_500] == label[:500])[~edge].all()
    above = far[:, 2] > 0
    assert set(filled[30_500:][above]) == {1, 3}
    assert (filled[30_500:][~above] == 2).all()
