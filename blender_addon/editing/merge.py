"""Merge objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from protocol.errors import BadArgument

from .. import session
from .modes import into_object_mode
from .moving import Taken, join_rows
from .parts import check_filled, check_parts, dissolve_part, nest, pieces_of, refresh_part


@into_object_mode
def merge(parts: Iterable[Any], into: Any = None) -> Any:
    """Merge objects and return the remaining collection: ``into``, or the one with the most Gaussians.

    The remaining object keeps its name, colour and label; all Gaussians keep their position. If one of the objects has
    parts, the remaining object has the parts of all, and an object without parts becomes one of them.

    Raises:
        BadArgument: if there are not at least two objects of one scene, or one has no Gaussians.
        BadSplats: if one is scaled non-uniformly or mirrored relative to the other; then nothing is changed.
    """
    several = check_parts([*parts, *([into] if into is not None else [])])
    if len(several) < 2:
        raise BadArgument("At least two objects are needed to merge.", "Select two or more objects.")
    for part in several:
        check_filled(part)
    pieces = {part: pieces_of(part) for part in several}
    if into is None:
        into = max(several, key=lambda part: part.splatlift.count)
    others = [part for part in several if part != into]
    counts = [part.splatlift.count for part in several]
    confidence = sum(part.splatlift.confidence * n for part, n in zip(several, counts, strict=True))
    wholes = {session.object_of(part).splatlift.object_id for part in others}
    are_objects = all(part.splatlift.kind != "PART" for part in several) and into.splatlift.kind == "OBJECT"
    if are_objects and any(session.parts_of_object(part) for part in several):
        for part in several:
            nest(part)
        for part in others:
            for inner in session.parts_of_object(part):
                part.children.unlink(inner)
                into.children.link(inner)
    else:
        join_rows(pieces[into][0], [Taken(piece) for part in others for piece in pieces[part]])
    for part in others:
        dissolve_part(part, into)
    for part in [into, *filter(None, map(session.find, wholes))]:
        refresh_part(part)
    into.splatlift.confidence = confidence / max(sum(counts), 1)
    return into
