"""What votes for no mask say."""

from __future__ import annotations

import numpy as np

from backend.lift.evidence.background import background_share
from tests.backend.lift.made_evidence import MASKS, evidence_from_masks


def test_background_share_is_that_of_mask_0() -> None:
    np.testing.assert_allclose(background_share(evidence_from_masks(MASKS))[[0, 4, 8]], [1 / 7, 0, 6 / 7], rtol=1e-6)
