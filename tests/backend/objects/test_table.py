"""The object table."""

from __future__ import annotations

import pytest

from backend.objects.table import object_table
from tests.backend.objects.making import two_balls


def test_rows_are_what_the_labels_say():
    splats, lift = two_balls()
    first, second = object_table(splats, lift)
    assert (first.id, first.count, first.views) == (1, 900, 7)
    assert (second.id, second.count, second.views) == (2, 400, 3)
    assert first.centre == pytest.approx((0, 0, 0), abs=0.1)
    assert second.centre == pytest.approx((5, 0, 0), abs=0.1)
    mine = splats.means[lift.labels == 2]
    assert second.min == pytest.approx(mine.min(0).tolist(), abs=1e-5)
    assert second.max == pytest.approx(mine.max(0).tolist(), abs=1e-5)
    assert first.confidence == pytest.approx(lift.confidence[lift.labels == 1].mean(), abs=1e-3)
