"""Edit whole objects: rename, colour, merge, delete, duplicate, isolate."""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of an operator from its annotations.

from typing import Any

import bpy

from protocol.errors import BadArgument

from ..editing import naming
from ..editing.corrected import Asked, merged
from ..editing.duplicate import duplicate
from ..editing.isolate import is_isolating, isolate, show_others
from ..editing.merge import merge
from ..editing.parts import scene_of
from ..editing.remove import delete
from ..editing.show_only import show_only
from ..settings import shown_scene
from .correcting import CorrectingOperator, take
from .edit_targets import EditOperator, need_scene, need_targets, targets
from .reporting import Outcome, reporting


class SPLATLIFT_OT_rename(EditOperator, bpy.types.Operator):
    """Rename the selected objects. Several objects are numbered"""

    bl_idname = "splatlift.rename"
    bl_label = "Rename"

    name: bpy.props.StringProperty(name="Name", options={"SKIP_SAVE"})

    def invoke(self, context: Any, event: Any) -> Outcome:
        found = targets(context)
        if found and not self.properties.is_property_set("name"):
            self.name = found[0].name
        return context.window_manager.invoke_props_dialog(self)

    @reporting
    def execute(self, context: Any) -> set[str]:
        naming.rename(need_targets(context), self.name)
        return {"FINISHED"}


class SPLATLIFT_OT_recolour(EditOperator, bpy.types.Operator):
    """Set the colour of the selected objects, for the list and for views that show label colours"""

    bl_idname = "splatlift.recolour"
    bl_label = "Colour"

    colour: bpy.props.FloatVectorProperty(
        name="Colour", size=3, min=0, max=1, default=(0.8, 0.8, 0.8), subtype="COLOR_GAMMA", options={"SKIP_SAVE"}
    )

    def invoke(self, context: Any, event: Any) -> Outcome:
        found = targets(context)
        if found and not self.properties.is_property_set("colour"):
            self.colour = found[0].splatlift.colour
        return context.window_manager.invoke_props_dialog(self)

    @reporting
    def execute(self, context: Any) -> set[str]:
        naming.recolour(need_targets(context), self.colour)
        return {"FINISHED"}


class SPLATLIFT_OT_merge(CorrectingOperator, bpy.types.Operator):
    """Merge the selected objects into the active one without moving them"""

    bl_idname = "splatlift.merge"
    bl_label = "Merge"

    def asked(self, context: Any) -> Asked:
        found = need_targets(context)
        return merged(found, _active(context, found))

    @reporting
    def execute(self, context: Any) -> set[str]:
        found = need_targets(context)
        if self.and_alike:
            return take(self, scene_of(found[0]), self.asked(context))
        remains = merge(found, _active(context, found))
        show_only(context, [remains])
        self.report({"INFO"}, f"{len(found)} objects are now {remains.name}, {remains.splatlift.count:,} Gaussians")
        return {"FINISHED"}


class SPLATLIFT_OT_delete(EditOperator, bpy.types.Operator):
    """Delete the selected objects with their Gaussians"""

    bl_idname = "splatlift.delete"
    bl_label = "Delete"

    @reporting
    def execute(self, context: Any) -> set[str]:
        found = need_targets(context)
        delete(found)
        self.report({"INFO"}, f"{len(found)} {'objects' if len(found) > 1 else 'object'} deleted")
        return {"FINISHED"}


class SPLATLIFT_OT_duplicate(EditOperator, bpy.types.Operator):
    """Copy each selected object to a new collection and select the copies"""

    bl_idname = "splatlift.duplicate"
    bl_label = "Duplicate"

    @reporting
    def execute(self, context: Any) -> set[str]:
        show_only(context, duplicate(need_targets(context)))
        return {"FINISHED"}


class SPLATLIFT_OT_isolate(EditOperator, bpy.types.Operator):
    """Hide everything else in the scene"""

    bl_idname = "splatlift.isolate"
    bl_label = "Isolate"

    @reporting
    def execute(self, context: Any) -> set[str]:
        isolate(need_targets(context))
        return {"FINISHED"}


class SPLATLIFT_OT_show_others(bpy.types.Operator):
    """Show everything that Isolate has hidden"""

    bl_idname = "splatlift.show_others"
    bl_label = "Show Others"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        shown = shown_scene(context)
        if shown is None or not is_isolating(shown):
            cls.poll_message_set("Nothing is isolated")
            return False
        return True

    @reporting
    def execute(self, context: Any) -> set[str]:
        scene = need_scene(context)
        if not is_isolating(scene):
            raise BadArgument("Nothing is isolated.")
        show_others(scene)
        return {"FINISHED"}


def _active(context: Any, found: list[Any]) -> Any:
    """Return the part that the active object belongs to, which is the first; None if it is not among them."""
    active = context.view_layer.objects.active
    return found[0] if active is not None and active.name in found[0].all_objects else None


CLASSES = (
    SPLATLIFT_OT_rename,
    SPLATLIFT_OT_recolour,
    SPLATLIFT_OT_merge,
    SPLATLIFT_OT_delete,
    SPLATLIFT_OT_duplicate,
    SPLATLIFT_OT_isolate,
    SPLATLIFT_OT_show_others,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
