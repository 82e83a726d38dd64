"""The object table."""

from __future__ import annotations

import numpy as np
import pytest

from backend.objects.table import colour_of, object_table, palette, rows_of_labels
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


def test_every_gaussian_is_in_exactly_one_group():
    _, lift = two_balls()
    groups = dict(rows_of_labels(lift.labels))
    assert list(groups) == [0, 1, 2]
    assert sorted(np.concatenate(list(groups.values()))) == list(range(len(lift.labels)))
    assert all((lift.labels[rows] == label).all() for label, rows in groups.items())


def test_colours_are_fixed_bright_and_differ():
    colours = palette(60)
    assert colours.shape == (61, 3)
    assert len({tuple(colour) for colour in colours}) == 61
    assert (colours[1:].max(1) > 150).all()
    assert tuple(colours[5]) == tuple(round(255 * channel) for channel in colour_of(5))
