"""Split objects: the selection from the rest, or into unconnected pieces."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from protocol.errors import BadArgument

from .modes import into_object_mode
from .moving import cut
from .neighbours import connected_pieces
from .parts import (
    Counterparts,
    check_parts,
    inner_of,
    new_inner,
    new_part,
    pieces_of,
    refresh_or_dissolve,
    refresh_part,
)
from .selection import selected


@into_object_mode
def split_selection(parts: Iterable[Any]) -> list[Any]:
    """Move the selected Gaussians of each object to a new object and return the new collections.

    Raises:
        BadArgument: if nothing is selected, or only whole objects.
    """
    made = []
    any_selected = False
    for part in check_parts(parts):
        chosen = [(piece, selected(piece)) for piece in pieces_of(part)]
        count = sum(int(np.count_nonzero(rows)) for _, rows in chosen)
        any_selected = any_selected or count > 0
        if not 0 < count < sum(len(rows) for _, rows in chosen):
            continue
        new = new_part(part, part.name)
        places = Counterparts(new, part)
        for piece, rows in chosen:
            if rows.any():
                place = places.of(piece)
                cut(piece, rows, place, place.name)
        made.append(new)
        refresh_or_dissolve(part, new)
        refresh_part(new)
    if not made:
        raise BadArgument(
            "The whole object is selected." if any_selected else "No Gaussians are selected.",
            "Select a part of an object in Edit Mode.",
        )
    return made


@into_object_mode
def split_pieces(parts: Iterable[Any], *, gap: float = 1.0, smallest: int = 50) -> list[Any]:
    """Split objects into connected pieces and return the new collections; the largest piece keeps the object.

    If an object has parts, its parts are split, and the pieces are new parts of it.

    Args:
        gap: largest distance between connected neighbours, as a multiple of the usual distance of the object.
        smallest: least number of Gaussians of a new object; smaller pieces stay with the largest one.

    Raises:
        BadArgument: if every object is connected.
    """
    made = []
    for part in check_parts(parts):
        for piece in pieces_of(part):
            numbers = connected_pieces(piece.thing.data, gap)
            counts = np.bincount(numbers)
            # The largest piece has index 0.
            for number in [n for n in range(1, len(counts)) if counts[n] >= smallest]:
                inner = inner_of(piece)
                new = new_part(part, part.name) if inner in (None, part) else new_inner(part, inner, inner.name)
                # The first cut may have left the piece without a surface.
                left = next(each for each in pieces_of(part) if each.thing == piece.thing)
                cut(left, numbers == number, new, new.name)
                numbers = numbers[numbers != number]
                refresh_part(new)
                made.append(new)
        refresh_part(part)
    if not made:
        raise BadArgument("The object has no separate pieces.", "Try a smaller gap or smaller pieces.")
    return made
