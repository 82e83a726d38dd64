"""Split objects: what is selected off the rest, or into pieces that do not touch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from protocol.errors import BadArgument

from .modes import into_object_mode
from .moving import cut
from .neighbours import connected_pieces
from .parts import check_parts, new_part, pieces_of, settle, settle_or_dissolve
from .selection import selected


@into_object_mode
def split_selection(parts: Iterable[Any]) -> list[Any]:
    """Make the selected Gaussians of each object an object of their own and return the new collections.

    Raises:
        BadArgument: if nothing is selected, or nothing but whole objects.
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
        for piece, rows in chosen:
            if rows.any():
                cut(piece, rows, new, new.name)
        made.append(new)
        settle_or_dissolve(part, new)
        settle(new)
    if not made:
        raise BadArgument(
            "The whole object is selected." if any_selected else "No Gaussians are selected.",
            "Select a part of an object in Edit Mode.",
        )
    return made


@into_object_mode
def split_pieces(parts: Iterable[Any], *, gap: float = 1.0, smallest: int = 50) -> list[Any]:
    """Split objects into connected pieces and return the new collections; the largest piece stays what it was.

    Args:
        gap: how far apart neighbours may be, as a multiple of the distance that is usual in the object.
        smallest: Gaussians that a piece has at least; smaller ones stay with the largest piece.

    Raises:
        BadArgument: if every object is of one piece.
    """
    made = []
    for part in check_parts(parts):
        for piece in pieces_of(part):
            numbers = connected_pieces(piece.thing.data, gap)
            counts = np.bincount(numbers)
            # The largest piece has number 0.
            for number in [n for n in range(1, len(counts)) if counts[n] >= smallest]:
                new = new_part(part, part.name)
                # A cut may leave the piece without a surface.
                left = next(each for each in pieces_of(part) if each.thing == piece.thing)
                cut(left, numbers == number, new, new.name)
                numbers = numbers[numbers != number]
                settle(new)
                made.append(new)
        settle(part)
    if not made:
        raise BadArgument("The object has no separate pieces.", "Try a smaller gap or smaller pieces.")
    return made
