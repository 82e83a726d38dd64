"""Leave Edit Mode before an edit, because edits need the stored data, and return to it afterwards.

Edits of whole objects end in Object Mode: Blender takes longer to turn a million points into its editing mesh than any
edit takes, and whole objects are not what one edits there. So do splits: what they make is there to be moved. What
Blender can do in Edit Mode as well is done there.
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
    """Leave Edit Mode for the block, and then return with all that was in it and is still there.

    Args:
        back: whether to return; where the block fails, it returns in any case.
    """
    # World matrices and the list of objects are as old as the last update.
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
    """Enter Edit Mode with those of some objects that are still there."""
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
    """Have a function run in :func:`object_mode`."""

    @wraps(edit)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with object_mode():
            return edit(*args, **kwargs)

    return run


def all_in_edit_mode(things: Iterable[Any]) -> bool:
    """Whether these meshes are what is in Edit Mode, all of them and nothing else."""
    editing = {thing for thing in bpy.context.view_layer.objects if thing.mode == "EDIT" and thing.type == "MESH"}
    return bpy.context.mode == "EDIT_MESH" and editing == set(things)


def into_object_mode(edit: Callable[P, T]) -> Callable[P, T]:
    """Have a function run in Object Mode, and stay there."""

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
