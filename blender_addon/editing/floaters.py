"""Remove floaters: small pieces far from the rest of their object."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .modes import outside_edit_mode
from .moving import drop_rows
from .neighbours import connected_pieces
from .parts import check_parts, pieces_of, settle

GAP = 3.0
LARGEST = 0.01


@outside_edit_mode
def remove_floaters(parts: Iterable[Any], *, gap: float = GAP, largest: float = LARGEST) -> int:
    """Delete the floaters of objects and return how many Gaussians they were.

    A floater is a piece that nothing touches within ``gap`` and that is small. The largest piece of an object is none.

    Args:
        gap: how far off, as a multiple of the distance to neighbours that is usual in the object.
        largest: share of its object's Gaussians that a floater has at most, 0 to 1.

    Raises:
        BadArgument: if there are no objects.
    """
    removed = 0
    for part in check_parts(parts):
        for piece in pieces_of(part):
            rows = floaters(piece.thing.data, gap, largest)
            drop_rows(piece, rows)
            removed += int(np.count_nonzero(rows))
        settle(part)
    return removed


def floaters(data: Any, gap: float, largest: float) -> NDArray[np.bool_]:
    """Return (N,) bool, the Gaussians of a data-block that :func:`remove_floaters` removes."""
    numbers = connected_pieces(data, gap)
    counts = np.bincount(numbers, minlength=1)
    small = counts <= largest * len(numbers)
    small[0] = False
    return small[numbers]
