"""The table of parts after labels have changed."""

from __future__ import annotations

import numpy as np

from protocol.result.part_table import parts_under
from protocol.result.parts import PartRow, PartTable


def test_a_part_belongs_to_the_object_that_has_most_of_it() -> None:
    table = PartTable(
        format=1, level="whole", parts=[PartRow(id=1, whole=1, count=3, name="seat"), PartRow(id=2, whole=1, count=2)]
    )
    part = np.array([1, 1, 1, 2, 2, 0, 2])
    before = np.array([1, 1, 1, 1, 1, 2, 0])
    labels = np.array([1, 2, 2, 1, 1, 2, 0], np.int32)
    after, column = parts_under(table, part, before, labels)
    assert column is not None
    np.testing.assert_array_equal(column, [0, 1, 1, 2, 2, 0, 0])
    assert after.parts == [PartRow(id=1, whole=2, count=2, name="seat"), PartRow(id=2, whole=1, count=2)]


def test_a_new_object_belongs_to_the_whole_it_came_from() -> None:
    table = PartTable(format=1, level="part", parts=[PartRow(id=1, whole=4, count=4), PartRow(id=2, whole=5, count=1)])
    before = np.array([1, 1, 1, 1, 2])
    labels = np.array([1, 3, 3, 2, 2], np.int32)
    after, column = parts_under(table, None, before, labels)
    assert column is None
    assert [(row.id, row.whole, row.count) for row in after.parts] == [(1, 4, 1), (2, 4, 2), (3, 4, 2)]
