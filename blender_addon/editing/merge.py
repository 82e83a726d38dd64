"""Merge objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from protocol.errors import BadArgument

from .modes import into_object_mode
from .moving import Taken, join_rows
from .parts import check_parts, dissolve_part, pieces_of, refresh_part


@into_object_mode
def merge(parts: Iterable[Any], into: Any = None) -> Any:
    """Merge objects and return the remaining collection: ``into``, or the one with the most Gaussians.

    The remaining object keeps its name, colour and label; all Gaussians keep their position.

    Raises:
        BadArgument: if there are not at least two objects of one scene.
        BadSplats: if one is scaled non-uniformly or mirrored relative to the other; then nothing is changed.
    """
    several = check_parts([*parts, *([into] if into is not None else [])])
    if len(several) < 2:
        raise BadArgument("At least two objects are needed to merge.", "Select two or more objects.")
    pieces = {part: pieces_of(part) for part in several}
    if into is None:
        into = max(several, key=lambda part: part.splatlift.count)
    others = [part for part in several if part != into]
    counts = [part.splatlift.count for part in several]
    confidence = sum(part.splatlift.confidence * n for part, n in zip(several, counts, strict=True))
    join_rows(pieces[into][0], [Taken(piece) for part in others for piece in pieces[part]])
    for part in others:
        dissolve_part(part, into)
    refresh_part(into)
    into.splatlift.confidence = confidence / max(sum(counts), 1)
    return into
