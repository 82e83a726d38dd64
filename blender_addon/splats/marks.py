"""Marked Gaussians: shown in red, for a check before they are deleted.

Marks are an attribute of the data, so they are saved and undone with everything else. Exports do not contain them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import count_of

MARKED = "splatlift_marked"
"""BOOLEAN attribute on points, and custom property of the data: number of marked ones, in total and for each reason."""


def marks_of(data: Any) -> NDArray[np.bool_]:
    """Return (N,) bool, the marked Gaussians of a data-block."""
    rows = np.zeros(count_of(data), bool)
    attribute = data.attributes.get(MARKED)
    if attribute is not None and attribute.data_type == "BOOLEAN" and len(rows):
        attribute.data.foreach_get("value", rows)
    return rows


def recount(data: Any) -> None:
    """Update the number of marked Gaussians after an edit; the numbers for each reason are then reset to 0."""
    if MARKED in data:
        total = int(marks_of(data).sum())
        if total != data[MARKED][0]:
            data[MARKED] = [total, *[0] * (len(data[MARKED]) - 1)]


def write_marks(data: Any, rows: NDArray[np.bool_]) -> None:
    """Mark the Gaussians of ``rows``, (N,) bool, and unmark all others; without marks, the attribute is removed."""
    attribute = data.attributes.get(MARKED)
    if rows.any():
        if attribute is None:
            data.attributes.new(MARKED, "BOOLEAN", "POINT")
        # Creating an attribute may move the others in memory.
        data.attributes[MARKED].data.foreach_set("value", np.ascontiguousarray(rows, bool))
    elif attribute is not None:
        data.attributes.remove(attribute)
    data.update_tag()
