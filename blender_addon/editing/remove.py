"""Delete objects, or selected Gaussians of objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from protocol.errors import BadArgument

from .modes import into_object_mode, outside_edit_mode
from .moving import drop_rows
from .parts import check_parts, pieces_of, remove_part, scene_of, settle_or_dissolve
from .selection import selected


@into_object_mode
def delete(parts: Iterable[Any]) -> None:
    """Delete objects with their Gaussians.

    Raises:
        BadArgument: if there are none.
    """
    for part in check_parts(parts):
        remove_part(part)


@outside_edit_mode
def delete_selection(parts: Iterable[Any]) -> int:
    """Delete the selected Gaussians of objects and return how many; an object without any left is removed.

    Raises:
        BadArgument: if nothing is selected.
    """
    several = check_parts(parts)
    chosen = [(piece, selected(piece)) for part in several for piece in pieces_of(part)]
    count = sum(int(rows.sum()) for _, rows in chosen)
    if not count:
        raise BadArgument("No Gaussians are selected.", "Select some in Edit Mode.")
    scene = scene_of(several[0])
    for piece, rows in chosen:
        drop_rows(piece, rows)
    for part in several:
        settle_or_dissolve(part, scene)
    return count
