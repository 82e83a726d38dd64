"""The objects that the Edit buttons act on, and whether the buttons are enabled."""

from __future__ import annotations

from typing import Any

from protocol.errors import BadArgument

from .. import session
from ..editing.parts import scene_of
from ..settings import chosen_object, shown_scene

NOTHING = "Select an imported object in the view or in the list"
EDIT_MODES = ("OBJECT", "EDIT_MESH", "EDIT_POINTCLOUD")
"""Modes of Blender in which edits work."""


def targets(context: Any) -> list[Any]:
    """Return the collections of objects to edit: those selected in the view, else the one chosen in the list.

    In Edit Mode they are those in Edit Mode. The active object's collection is first. Of an object with parts it is the
    object if all of it is selected and the scene is not shown at the level of parts, else the selected parts.
    """
    selected = set(context.objects_in_mode if context.mode.startswith("EDIT") else context.selected_objects)
    touched = []
    if selected:
        wholes = [part for scene in session.scenes() for part in scene.children_recursive]
        wholes = [part for part in wholes if part.splatlift.kind in ("OBJECT", "BACKGROUND")]
        for whole in [part for part in wholes if not selected.isdisjoint(part.all_objects)]:
            parts = [part for part in session.parts_of_object(whole) if not selected.isdisjoint(part.all_objects)]
            all_chosen = len(parts) == len(session.parts_of_object(whole))
            is_whole = not parts or (all_chosen and level_of(whole) == "WHOLE")
            touched += [whole] if is_whole else parts
    if not touched:
        chosen = chosen_object(context)
        return [chosen] if chosen is not None else []
    active = context.view_layer.objects.active
    return sorted(touched, key=lambda part: active is None or active.name not in part.all_objects)


def level_of(part: Any) -> str:
    """Return the level of the scene that a part belongs to, "WHOLE" or "PART"."""
    return scene_of(part).splatlift.level


def need_targets(context: Any) -> list[Any]:
    """As :func:`targets`.

    Raises:
        BadArgument: if there are none.
    """
    found = targets(context)
    if not found:
        raise BadArgument("No imported object is selected.", f"{NOTHING}.")
    return found


def need_scene(context: Any) -> Any:
    """Return the collection of the imported scene that the list shows.

    Raises:
        BadArgument: if nothing is imported.
    """
    shown = shown_scene(context)
    if shown is None:
        raise BadArgument("No result is imported.", "Import a result first.")
    return shown


def has_scene(cls: Any) -> bool:
    """Whether a result is imported; if not, sets the reason why an operator is disabled."""
    if not session.scenes():
        cls.poll_message_set("Import a result first")
        return False
    return True


def can_edit(cls: Any, context: Any) -> bool:
    """Whether objects can be edited now; if not, sets the reason why an operator is disabled."""
    if not has_scene(cls):
        return False
    if context.mode not in EDIT_MODES:
        cls.poll_message_set("Edits work in Object Mode and in Edit Mode")
    elif not (context.selected_objects or chosen_object(context)):
        cls.poll_message_set(NOTHING)
    else:
        return True
    return False


class EditOperator:
    """What operators share that edit the selected objects: they can be undone, and are grey without an object."""

    bl_options = {"REGISTER", "UNDO"}
    report: Any

    @classmethod
    def poll(cls, context: Any) -> bool:
        return can_edit(cls, context)
