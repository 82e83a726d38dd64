"""Gaussians that are marked: shown in red, to be looked at before they are deleted.

Marks are an attribute of the data, so they are saved and undone with everything else. Exports leave them out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import count_of

MARKED = "splatlift_marked"
"""Attribute, BOOLEAN, on points; and custom property of the data: how many are marked, and how many for each reason."""


def marks_of(data: Any) -> NDArray[np.bool_]:
    """Return (N,) bool, the marked Gaussians of a data-block."""
    rows = np.zeros(count_of(data), bool)
    attribute = data.attributes.get(MARKED)
    if attribute is not None and attribute.data_type == "BOOLEAN" and len(rows):
        attribute.data.foreach_get("value", rows)
    return rows


def recount(data: Any) -> None:
    """Bring the number of marked Gaussians in step with an edit; the reasons are not known any more then."""
    if MARKED in data:
        total = int(marks_of(data).sum())
        if total != data[MARKED][0]:
            data[MARKED] = [total, *[0] * (len(data[MARKED]) - 1)]


def write_marks(data: Any, rows: NDArray[np.bool_]) -> None:
    """Mark the Gaussians of ``rows``, (N,) bool, and no others; where there are none, nothing is left on the data."""
    attribute = data.attributes.get(MARKED)
    if rows.any():
        if attribute is None:
            data.attributes.new(MARKED, "BOOLEAN", "POINT")
        # Making an attribute may move the others.
        data.attributes[MARKED].data.foreach_set("value", np.ascontiguousarray(rows, bool))
    elif attribute is not None:
        data.attributes.remove(attribute)
    data.update_tag()
