"""Supervoxels: pure, bounded, and formed only where masks agree."""

from __future__ import annotations

import numpy as np

from backend.lift.consensus.supervoxels import supervoxels
from tests.backend.lift.made_evidence import evidence_from_masks


def grid(rng: np.random.Generator) -> np.ndarray:
    """A 20 x 20 sheet of points, one apart, slightly off the grid."""
    points = np.stack([*np.indices((20, 20)), np.zeros((20, 20))], -1).reshape(-1, 3)
    return (points + rng.normal(0, 0.05, points.shape)).astype(np.float32)


def test_never_spans_two_objects_nor_a_voxel() -> None:
    rng = np.random.default_rng(0)
    means = grid(rng)
    obj = (means[:, 0] > 9.5).astype(int) + 1
    masks = np.stack([rng.permutation(3)[obj] * (obj > 0) + 1 for _ in range(6)])
    region = supervoxels(means, evidence_from_masks(masks), np.ones(400, bool), voxel=4.0, smallest=2)
    assert region.max() > 10
    for r in range(region.max() + 1):
        inside = region == r
        assert inside.sum() >= 2
        assert len(set(obj[inside])) == 1
        assert np.ptp(means[inside], axis=0).max() < 4.0 * 1.1


def test_leaves_out_background_and_lonely_gaussians() -> None:
    means = grid(np.random.default_rng(1))
    chosen = means[:, 1] > 4.5
    chosen[0] = True
    region = supervoxels(means, evidence_from_masks(np.ones((4, 400), int)), chosen, voxel=4.0, smallest=3)
    assert (region[~chosen] == -1).all()
    assert region[0] == -1
    assert (region[chosen] >= 0).sum() > 250


def test_disagreement_keeps_neighbours_apart() -> None:
    means = grid(np.random.default_rng(2))
    masks = np.random.default_rng(3).integers(1, 30, (8, 400))
    region = supervoxels(means, evidence_from_masks(masks), np.ones(400, bool), voxel=4.0, smallest=2)
    assert (region >= 0).mean() < 0.02


def test_one_view_is_enough_where_there_is_only_one() -> None:
    means = grid(np.random.default_rng(4))
    region = supervoxels(means, evidence_from_masks(np.ones((1, 400), int)), np.ones(400, bool), voxel=4.0, smallest=2)
    assert (region >= 0).mean() > 0.9


def test_few_gaussians() -> None:
    for n in (0, 1, 2):
        evidence = evidence_from_masks(np.ones((2, max(n, 1)), int))
        means = np.arange(3 * max(n, 1), dtype=np.float32).reshape(-1, 3)
        chosen = np.arange(max(n, 1)) < n
        region = supervoxels(means, evidence, chosen, voxel=4.0, smallest=1)
        assert (region >= 0).sum() == n


def test_voxels_grow_where_they_would_be_too_many() -> None:
    side = 120
    means = np.stack([*np.indices((side, side)), np.zeros((side, side))], -1).reshape(-1, 3).astype(np.float32)
    obj = (means[:, 0] > side / 2).astype(int) + 1
    evidence = evidence_from_masks(np.stack([obj, 3 - obj, obj]))
    region = supervoxels(means, evidence, np.ones(len(means), bool), voxel=2.0, smallest=1)
    assert 700 < region.max() + 1 <= 1.1 * 1000, "voxels of 2 x 2 points would be 3,600"
    assert len(np.unique(np.stack([region, obj]), axis=1).T) == region.max() + 1, "none spans both objects"
