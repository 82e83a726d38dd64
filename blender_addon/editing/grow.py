"""Grow and shrink the selection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from protocol.errors import BadArgument

from ..splats.columns import read_positions
from .modes import outside_edit_mode
from .neighbours import around, usual_distance
from .parts import check_parts, pieces_of
from .selection import check_shown, read_selection, write_selection


def grow(parts: Iterable[Any], *, steps: int = 1, reach: float = 1.0) -> int:
    """Add Gaussians near the selected ones to the selection of each object, and return the number selected.

    Args:
        steps: how many times.
        reach: distance, as a multiple of the usual neighbour distance of the object.

    Raises:
        BadArgument: if nothing is selected, or an object is shown as a mesh.
    """
    return _change(parts, steps, reach, growing=True)


def shrink(parts: Iterable[Any], *, steps: int = 1, reach: float = 1.0) -> int:
    """Deselect Gaussians near unselected ones, and return the number that is still selected.

    Args and Raises:
        as :func:`grow`.
    """
    return _change(parts, steps, reach, growing=False)


@outside_edit_mode
def _change(parts: Iterable[Any], steps: int, reach: float, growing: bool) -> int:
    pieces = check_shown([piece for part in check_parts(parts) for piece in pieces_of(part)])
    if not any(read_selection(piece.thing.data).any() for piece in pieces):
        raise BadArgument("No Gaussians are selected.", "Select Gaussians in Edit Mode.")
    count = 0
    for piece in pieces:
        data = piece.thing.data
        rows, points = read_selection(data), read_positions(data)
        distance = reach * usual_distance(points)
        for _ in range(steps):
            rows = around(points, rows, distance) if growing else ~around(points, ~rows, distance)
        write_selection(data, rows)
        count += int(np.count_nonzero(rows))
    return count
