"""Which masks are contrasted."""

from __future__ import annotations

import numpy as np

from backend.lift.contrastive.method import large_masks
from backend.lift.evidence.views import MaskedView
from backend.scene.types import Camera


def test_only_masks_of_more_pixels_are_contrasted() -> None:
    mask = np.repeat(np.array([0, 1, 2, 3], np.int32), [500, 100, 101, 3])[None]
    (view,) = large_masks(iter([MaskedView("a", Camera(np.eye(4), np.eye(3), mask.size, 1), mask)]), 100)
    assert np.unique(view.mask).tolist() == [0, 2]
