"""The active row of the list of objects follows the active object of the view.

The reverse, that a click on a row selects its object, is in :mod:`.settings`, where the row is.
"""

from __future__ import annotations

from typing import Any

import bpy

from .after_update import after_update
from .editing.parts import KINDS
from .session import object_of
from .settings import choose_in_list, chosen_object, quiet
from .soon import call_no_more, call_soon


class _Last:
    """The last active object that was seen, by its number in this run of Blender."""

    number: int | None = None


@after_update
def follow_soon(scene: Any, depsgraph: Any) -> None:
    """Blender calls this after an evaluation, also within an edit or an undo."""
    if not quiet.is_on and _number() != _Last.number:
        call_soon(follow_active)


def follow_active() -> None:
    """Make the active object the active row, if it is another one than before."""
    number = _number()
    if number == _Last.number:
        return
    _Last.number = number
    active = bpy.context.view_layer.objects.active
    found = next((each for each in active.users_collection if each.splatlift.kind in KINDS), None) if active else None
    if found is not None and found != chosen_object(bpy.context):
        whole = object_of(found)
        choose_in_list(bpy.context, whole, found if found != whole else None)


def _number() -> int | None:
    active = bpy.context.view_layer.objects.active
    return None if active is None else active.session_uid


def register() -> None:
    _Last.number = None
    bpy.app.handlers.depsgraph_update_post.append(follow_soon)


def unregister() -> None:
    bpy.app.handlers.depsgraph_update_post.remove(follow_soon)
    call_no_more(follow_active)
