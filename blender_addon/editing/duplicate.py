"""Duplicate objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .modes import into_object_mode
from .parts import Counterparts, check_parts, copy_piece, new_part, pieces_of, refresh_part


@into_object_mode
def duplicate(parts: Iterable[Any]) -> list[Any]:
    """Copy objects with their Gaussians and return the new collections, with new labels, ids and colours.

    Raises:
        BadArgument: if there are none.
    """
    made = []
    for part in check_parts(parts):
        new = new_part(part, part.name)
        places = Counterparts(new, part)
        for piece in pieces_of(part):
            place = places.of(piece)
            copy_piece(piece, place, place.name)
        refresh_part(new)
        made.append(new)
    return made
