"""Which cluster each mask shows."""

from __future__ import annotations

import numpy as np

from backend.lift.evidence.mask_clusters import cluster_of_each_mask, presence
from tests.backend.lift.made_evidence import MASKS, TRUTH, evidence_from_masks


def test_masks_belong_to_the_cluster_that_fills_them() -> None:
    evidence = evidence_from_masks(MASKS)
    mask_cluster = cluster_of_each_mask(evidence, TRUTH.astype(np.int32))
    assert mask_cluster[1:5].tolist() == [1, 2, 2, 1]
    np.testing.assert_allclose(presence(evidence, TRUTH.astype(np.int32), mask_cluster), [1, 6 / 7, 6 / 7])
