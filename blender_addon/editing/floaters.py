"""Remove floaters: small pieces far from the rest of their object."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .modes import outside_edit_mode
from .moving import drop_rows
from .neighbours import connected_pieces
from .parts import check_parts, pieces_of, refresh_part

GAP = 3.0
LARGEST = 0.01


@outside_edit_mode
def remove_floaters(parts: Iterable[Any], *, gap: float = GAP, largest: float = LARGEST) -> int:
    """Delete the floaters of objects and return the number of deleted Gaussians.

    A floater is a small piece that no other Gaussians touch within ``gap``. The largest piece of an object is never
    one.

    Args:
        gap: least distance to other Gaussians, as a multiple of the usual neighbour distance of the object.
        largest: most Gaussians of a floater, as a share of its object, 0 to 1.

    Raises:
        BadArgument: if there are no objects.
    """
    removed = 0
    for part in check_parts(parts):
        for piece in pieces_of(part):
            rows = floaters(piece.thing.data, gap, largest)
            drop_rows(piece, rows)
            removed += int(np.count_nonzero(rows))
        refresh_part(part)
    return removed


def floaters(data: Any, gap: float, largest: float) -> NDArray[np.bool_]:
    """Return (N,) bool, the Gaussians of a data-block that :func:`remove_floaters` removes."""
    numbers = connected_pieces(data, gap)
    counts = np.bincount(numbers, minlength=1)
    small = counts <= largest * len(numbers)
    small[0] = False
    return small[numbers]
