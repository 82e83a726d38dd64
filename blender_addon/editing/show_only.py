"""Select objects in the view, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .parts import pieces_of


def show_only(context: Any, parts: Iterable[Any]) -> bool:
    """Select only the visible objects of parts, and return whether any is selected.

    Outside of Object Mode the selection is not changed.
    """
    if context.mode != "OBJECT":
        return False
    layer = context.view_layer
    layer.update()
    for thing in layer.objects:
        thing.select_set(False)
    seen = [piece.seen for part in parts for piece in pieces_of(part) if piece.seen.name in layer.objects]
    for thing in seen:
        thing.select_set(True)
    if seen:
        layer.objects.active = seen[0]
    return any(thing.select_get() for thing in seen)
