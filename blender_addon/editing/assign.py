"""Assign selected Gaussians to another object or to the background."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from protocol.errors import BadArgument

from .modes import outside_edit_mode
from .moving import Taken, cut, join_rows
from .parts import background_for, check_parts, inner_of, pieces_of, points_of, refresh_or_dissolve, refresh_part
from .selection import selected


@outside_edit_mode
def assign(parts: Iterable[Any], to: Any) -> int:
    """Move the selected Gaussians of objects to the object ``to`` and return their number.

    They keep their position and get the label of ``to``; if that has parts, they join the largest. Objects that become
    empty are removed.

    Raises:
        BadArgument: if nothing is selected outside of ``to``, or ``to`` belongs to another scene.
        BadSplats: if objects are scaled non-uniformly or mirrored relative to ``to``; then nothing is changed.
    """
    several = [part for part in check_parts([*parts, to]) if part != to]
    chosen = [(piece, selected(piece)) for part in several for piece in pieces_of(part)]
    taken = [(piece, rows) for piece, rows in chosen if rows.any()]
    if not taken:
        raise BadArgument(f"All selected Gaussians already belong to {to.name}.", "Select Gaussians in Edit Mode.")
    moved = sum(int(rows.sum()) for _, rows in taken)
    there = sorted(pieces_of(to), key=lambda piece: -points_of(piece.thing) if inner_of(piece) else 0)
    if not there:
        (piece, rows), *taken = taken
        there = [cut(piece, rows, to, to.name)]
    join_rows(there[0], [Taken(piece, rows) for piece, rows in taken])
    for part in several:
        refresh_or_dissolve(part, to)
    refresh_part(to)
    return moved


@outside_edit_mode
def assign_to_background(parts: Iterable[Any]) -> int:
    """As :func:`assign`, to the background of the scene, which is created if missing."""
    several = check_parts(parts)
    if not any(selected(piece).any() for part in several for piece in pieces_of(part)):
        raise BadArgument("No Gaussians are selected.", "Select Gaussians in Edit Mode.")
    return assign(several, background_for(several[0]))
