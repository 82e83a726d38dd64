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


class _Last:
    """The last active object that was seen, by its number in this run of Blender."""

    number: int | None = None


@after_update
def follow_active(scene: Any, depsgraph: Any) -> None:
    """Blender calls this after an evaluation; another active object becomes the active row."""
    active = bpy.context.view_layer.objects.active
    number = None if active is None else active.session_uid
    if quiet.is_on or number == _Last.number:
        return
    _Last.number = number
    found = next((each for each in active.users_collection if each.splatlift.kind in KINDS), None) if active else None
    if found is not None and found != chosen_object(bpy.context):
        whole = object_of(found)
        choose_in_list(bpy.context, whole, found if found != whole else None)


def register() -> None:
    _Last.number = None
    bpy.app.handlers.depsgraph_update_post.append(follow_active)


def unregister() -> None:
    bpy.app.handlers.depsgraph_update_post.remove(follow_active)
