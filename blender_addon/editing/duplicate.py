"""Duplicate objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .modes import into_object_mode
from .parts import check_parts, copy_piece, new_part, pieces_of, settle


@into_object_mode
def duplicate(parts: Iterable[Any]) -> list[Any]:
    """Copy objects with their Gaussians and return the new collections: labels, ids and colours of their own.

    Raises:
        BadArgument: if there are none.
    """
    made = []
    for part in check_parts(parts):
        new = new_part(part, part.name)
        for piece in pieces_of(part):
            copy_piece(piece, new, new.name)
        settle(new)
        made.append(new)
    return made
