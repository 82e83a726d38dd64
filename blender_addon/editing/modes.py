"""Leaves Edit Mode before an edit, because edits need the stored data, and returns to it afterwards.

Edits of whole objects stay in Object Mode, because Blender takes longer to create the edit mesh of a million points
than any edit takes. Splits stay there too, because the new objects are usually moved next. Edits that Blender itself
can do in Edit Mode are done there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import bpy

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def object_mode(back: bool = True) -> Iterator[None]:
    """Leave Edit Mode for the block, then enter it again with all objects that still exist.

    Args:
        back: whether to return to Edit Mode; after an error it returns in any case.
    """
    # World matrices and the list of objects are only valid after an update.
    bpy.context.view_layer.update()
    editing = [thing for thing in bpy.context.view_layer.objects if thing.mode == "EDIT"]
    if not editing:
        yield
        return
    bpy.ops.object.mode_set(mode="OBJECT")
    failed = True
    try:
        yield
        failed = False
    finally:
        if back or failed:
            _edit(editing)


def _edit(things: list[Any]) -> None:
    """Enter Edit Mode with those objects that still exist."""
    layer = bpy.context.view_layer
    layer.update()
    left = [thing for thing in things if _is_there(thing)]
    if not left:
        return
    for thing in layer.objects:
        thing.select_set(thing in left)
    if layer.objects.active not in left:
        layer.objects.active = left[0]
    bpy.ops.object.mode_set(mode="EDIT")


def outside_edit_mode(edit: Callable[P, T]) -> Callable[P, T]:
    """Decorator: run a function in :func:`object_mode`."""

    @wraps(edit)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with object_mode():
            return edit(*args, **kwargs)

    return run


def all_in_edit_mode(things: Iterable[Any]) -> bool:
    """Whether exactly these meshes are in Edit Mode."""
    editing = {thing for thing in bpy.context.view_layer.objects if thing.mode == "EDIT" and thing.type == "MESH"}
    return bpy.context.mode == "EDIT_MESH" and editing == set(things)


def into_object_mode(edit: Callable[P, T]) -> Callable[P, T]:
    """Decorator: run a function in Object Mode, and stay there."""

    @wraps(edit)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with object_mode(back=False):
            return edit(*args, **kwargs)

    return run


def _is_there(thing: Any) -> bool:
    try:
        return bool(thing.name in bpy.context.view_layer.objects and thing.visible_get())
    except ReferenceError:  # it was removed
        return False
