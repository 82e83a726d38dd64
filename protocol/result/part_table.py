"""Keeps the table of parts true when the labels of objects change."""

from __future__ import annotations

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from protocol.result.parts import PartRow, PartTable


def parts_under(
    table: PartTable, part: NDArray[np.integer] | None, before: NDArray[np.integer], labels: NDArray[np.int32]
) -> tuple[PartTable, NDArray[np.int32] | None]:
    """Return the table, and the part of each Gaussian, after a change of labels.

    At level "whole" a part belongs to the object that has most of its Gaussians; its other Gaussians are in no part. At
    level "part" a new object belongs to the whole that most of its Gaussians belonged to.

    Args:
        table: as it was.
        part: (N,), the column ``part``; None at level "part".
        before, labels: (N,), the labels before and after.
    """
    known = {row.id: row for row in table.parts}
    if part is None:
        whole_of = {row.id: row.whole for row in table.parts}
        origin = _most(labels, before)
        rows = [
            _row(known, label, whole_of.get(origin[label], whole_of.get(label, label)), count)
            for label, count in _counts(labels)
        ]
        return structs.replace(table, parts=rows), None
    holder = _most(np.where(labels > 0, part, 0), labels)
    whole = np.zeros(int(part.max(initial=0)) + 1, np.int32)
    for number, label in holder.items():
        whole[number] = label
    kept = np.where((labels > 0) & (whole[part] == labels), part, 0).astype(np.int32)
    rows = [_row(known, number, int(whole[number]), count) for number, count in _counts(kept)]
    return structs.replace(table, parts=rows), kept


def _row(known: dict[int, PartRow], number: int, whole: int, count: int) -> PartRow:
    if number in known:
        return structs.replace(known[number], whole=whole, count=count)
    return PartRow(id=number, whole=whole, count=count)


def _counts(values: NDArray[np.integer]) -> list[tuple[int, int]]:
    ids, count = np.unique(values[values > 0], return_counts=True)
    return list(zip(ids.tolist(), count.tolist(), strict=True))


def _most(group: NDArray[np.integer], value: NDArray[np.integer]) -> dict[int, int]:
    """Return for each group above 0 its commonest value; ties go to the lowest."""
    pairs, count = np.unique(np.stack([group, value]).astype(np.int64), axis=1, return_counts=True)
    order = np.lexsort((-pairs[1], count))
    return {int(key): int(found) for key, found in pairs[:, order].T if key > 0}
