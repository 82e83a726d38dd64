"""The evidence of some of the views."""

from __future__ import annotations

import numpy as np

from tests.backend.lift.made_evidence import evidence_from_masks


def test_votes_of_some_views_are_those_of_these_masks_alone() -> None:
    masks = np.random.default_rng(1).integers(-1, 4, (6, 40))
    chosen = np.array([True, False, False, True, True, False])
    some, alone = evidence_from_masks(masks).of_views(chosen), evidence_from_masks(masks[chosen])
    np.testing.assert_array_equal(some.start, alone.start)
    np.testing.assert_array_equal(some.gaussian, alone.gaussian)
    np.testing.assert_array_equal(some.view, np.flatnonzero(chosen)[alone.view])
    for name in ("own", "total", "zero"):
        np.testing.assert_array_equal(getattr(some, name), getattr(alone, name))
    np.testing.assert_array_equal(some.mask_view[some.mask], np.where(some.mask > 0, some.view, -1))
