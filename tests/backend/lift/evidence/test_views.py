"""Masks of views."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backend.lift.evidence.views import MaskedView, compact, masked_views
from backend.scene.types import Camera


@given(hnp.arrays(np.int32, (3, 7), elements=st.integers(-5, 2**31 - 1)))
def test_compact_keeps_the_partition(mask: np.ndarray) -> None:
    got = compact(mask)
    ids = np.unique(mask[mask > 0])
    np.testing.assert_array_equal(got, np.where(mask > 0, np.searchsorted(ids, mask) + 1, np.minimum(mask, 0).clip(-1)))


def test_camera_is_resized_to_the_mask() -> None:
    camera = Camera(np.eye(4), np.array([[80.0, 0, 40], [0, 80, 30], [0, 0, 1]]), 80, 60)
    (view,) = masked_views([MaskedView("a", camera, np.ones((30, 40), np.int32))])
    assert (view.camera.width, view.camera.height) == (40, 30)
    assert view.camera.K[0].tolist() == [40, 0, 20]
