"""Corrections of an earlier result on new labels."""

from __future__ import annotations

import numpy as np
import pytest

from backend.corrections import replayed
from backend.lift.types import Lift
from protocol.errors import BadArgument
from protocol.result.corrections import Correction, Kind, Place
from tests.backend.corrections.making import EACH, evidence_of, means_of
from tests.backend.lift.made_evidence import in_a_row


def said(kind: Kind, *places: float) -> Correction:
    named = [Place(name=f"x = {x}", points=[(x, 0.0, 0.0)]) for x in places]
    return Correction(kind=kind, places=named, here=True)


def lifted(labels: list[int], regions: bool = True):
    splats = in_a_row(len(labels) * EACH, np.full(len(labels) * EACH, 0.5))
    splats.means[:] = means_of(len(labels))
    each = np.repeat(np.array(labels, np.int32), EACH)
    views = np.arange(max(labels) + 1, dtype=np.int32)
    evidence = evidence_of(labels, {}) if regions else None
    return splats, Lift(each, np.ones(len(each), np.float32), views, "consensus", regions=evidence)


def test_points_find_what_they_stood_for_under_other_labels():
    found, kept, notes = replayed(*lifted([3, 1, 2]), [said("one", 0.1, 2.0), said("own", 1.0)])
    assert found.labels[::EACH].tolist() == [3, 1, 3]
    assert len(kept) == 2
    assert notes == []
    assert len(found.views) == 4


def test_what_no_longer_applies_is_told_and_left_out():
    corrections = [said("background", 0.0), said("one", 0.0, 1.0), said("one", 1.0, 2.0)]
    found, kept, notes = replayed(*lifted([1, 2, 3]), corrections)
    assert found.labels[::EACH].tolist() == [0, 2, 2]
    assert kept == [corrections[0], corrections[2]]
    assert notes == [
        "Correction 2 (one: x = 0.0, x = 1.0) names x = 0.0, which is no longer an object. It was removed."
    ]


def test_objects_without_masks_cannot_be_corrected():
    with pytest.raises(BadArgument, match="without masks cannot be corrected"):
        replayed(*lifted([1, 2], regions=False), [said("one", 0.0, 1.0)])
