"""Regions to objects."""

from __future__ import annotations

import numpy as np

from backend.lift.consensus.objects import objects_from_regions
from backend.lift.consensus.settings import EvidenceSettings
from backend.lift.labels import largest_first
from tests.backend.lift.made_evidence import MASKS, TRUTH, evidence_from_masks, in_a_row

BY_MASKS_ALONE = EvidenceSettings(smoothing=0)
"""As all of a dozen Gaussians are neighbours."""
ROW = in_a_row(12, np.where(TRUTH, TRUTH / 2, 0.0))


def test_objects_from_regions_undoes_misses_merges_and_false_masks() -> None:
    evidence = evidence_from_masks(MASKS)
    region = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2], np.int32)
    label = objects_from_regions(ROW, evidence, region, EvidenceSettings())
    assert largest_first(label).tolist() == TRUTH.tolist()


def test_objects_from_regions_joins_an_object_that_came_in_pieces() -> None:
    masks = np.array([[1] * 6 + [2] * 6] * 5 + [[1] * 3 + [2] * 9])
    region = np.repeat(np.arange(4), 3).astype(np.int32)
    label = objects_from_regions(ROW, evidence_from_masks(masks), region, BY_MASKS_ALONE)
    assert len(set(label[:6])) == len(set(label[6:])) == 1
    assert label[0] != label[6]


def test_leftover_gaussians_follow_their_masks_not_their_neighbours() -> None:
    masks = np.array([[1, 1, 1, 2, 1, 1, 1, 0, 2, 2, 2, 2]] * 4)
    region = np.array([0, 0, 0, -1, 0, 0, 0, -1, 1, 1, 1, 1], np.int32)
    label = objects_from_regions(ROW, evidence_from_masks(masks), region, BY_MASKS_ALONE)
    assert label[3] == label[8] > 0
    assert label[7] == 0
