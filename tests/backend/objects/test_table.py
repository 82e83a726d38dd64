"""The object table."""

from __future__ import annotations

import numpy as np
import pytest

from backend.objects.table import object_table
from tests.backend.objects.making import two_balls


def test_rows_are_what_the_labels_say():
    splats, lift = two_balls()
    first, second = object_table(splats, lift)
    assert (first.id, first.count, first.views) == (1, 900, 7)
    assert (second.id, second.count, second.views) == (2, 400, 3)
    assert np.allclose(first.centre, 0, atol=0.1)
    assert np.allclose(second.centre, (5, 0, 0), atol=0.1)
    mine = splats.means[lift.labels == 2]
    assert np.allclose(second.min, mine.min(0), atol=1e-5)
    assert np.allclose(second.max, mine.max(0), atol=1e-5)
    assert first.confidence == pytest.approx(lift.confidence[lift.labels == 1].mean(), abs=1e-3)
