"""Select an object of the list. Properties such as visibility are set by the list itself."""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of an operator from its annotations.

from typing import Any

import bpy

from protocol.errors import NotFound

from .. import session
from .reporting import Outcome, reporting


class SPLATLIFT_OT_select_object(bpy.types.Operator):
    """Select this object; hold Shift to add it to the selection"""

    bl_idname = "splatlift.select_object"
    bl_label = "Select"
    bl_options = {"REGISTER", "UNDO"}

    object_id: bpy.props.StringProperty(name="Object Id")
    collection: bpy.props.StringProperty(name="Collection", description=session.OF_SEVERAL, options={"SKIP_SAVE"})
    extend: bpy.props.BoolProperty(name="Extend", description="Add to the current selection")

    @classmethod
    def poll(cls, context: Any) -> bool:
        if context.mode != "OBJECT":
            cls.poll_message_set("Objects can only be selected in Object Mode")
            return False
        return True

    def invoke(self, context: Any, event: Any) -> Outcome:
        self.extend = event.shift
        return self.execute(context)

    @reporting
    def execute(self, context: Any) -> set[str]:
        collection = _find(self.object_id, self.collection)
        before = context.selected_objects
        if not self.extend:
            for thing in before:
                thing.select_set(False)
        seen = [each for each in collection.all_objects if each.name in context.view_layer.objects]
        for thing in seen:
            thing.select_set(True)
        selected = [each for each in seen if each.select_get()]
        if not selected:
            for thing in before:
                thing.select_set(True)
            self.report({"WARNING"}, f"{collection.name} is hidden and cannot be selected.")
            return {"CANCELLED"}
        context.view_layer.objects.active = selected[0]
        return {"FINISHED"}


def _find(object_id: str, name: str) -> Any:
    collection = session.find(object_id, name)
    if collection is None:
        raise NotFound("That object is no longer in this file.")
    return collection


CLASSES = (SPLATLIFT_OT_select_object,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
