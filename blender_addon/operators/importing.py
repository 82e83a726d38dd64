"""Import a result: a few milliseconds a tick in a window, at once in background mode."""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of an operator from its annotations.

from pathlib import Path
from typing import Any, ClassVar

import bpy

from protocol.errors import BadArgument

from .. import session
from ..pump import pump
from ..settings import DISPLAYS, settings
from .reporting import reporting


class SPLATLIFT_OT_import_result(bpy.types.Operator):
    """Bring a result into the scene, one collection per object"""

    bl_idname = "splatlift.import_result"
    bl_label = "Import"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    # What is not given is to be asked for, and not taken from the last time.
    directory: bpy.props.StringProperty(
        name="Result", description="A result folder", subtype="DIR_PATH", options={"SKIP_SAVE"}
    )
    display: bpy.props.EnumProperty(name="Show As", items=DISPLAYS, options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: Any) -> bool:
        if pump.importing is not None:
            cls.poll_message_set("One result is being imported already")
            return False
        return True

    def invoke(self, context: Any, event: Any) -> set[str]:
        if not self.properties.is_property_set("display"):
            self.display = settings(context).display
        if self.properties.is_property_set("directory"):
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    @reporting
    def execute(self, context: Any) -> set[str]:
        if not self.directory:
            raise BadArgument("No result folder was named.", "Name one with directory=...")
        folder = Path(bpy.path.abspath(self.directory))
        if bpy.app.background:
            show(session.import_folder(folder, self.display, context))
            return {"FINISHED"}
        pump.begin_import(session.import_steps(folder, self.display), in_one_undo_step)
        # The undo step belongs to the moment when the objects appear.
        return {"CANCELLED"}


class SPLATLIFT_OT_stop_import(bpy.types.Operator):
    """Stop the import; nothing of it has reached the scene yet"""

    bl_idname = "splatlift.stop_import"
    bl_label = "Cancel"
    bl_options: ClassVar = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return pump.importing is not None

    def execute(self, context: Any) -> set[str]:
        pump.stop_import()
        return {"FINISHED"}


def show(collection: Any) -> None:
    """Have the panel's list show a scene that has just been imported, and solid views its objects' colours."""
    chosen = bpy.context.scene.splatlift
    chosen.scene_id = collection.splatlift.scene_id
    chosen.row = 0
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            # Blender's own choice shows every object in the same grey; another choice is a person's.
            if area.type == "VIEW_3D" and area.spaces.active.shading.color_type == "MATERIAL":
                area.spaces.active.shading.color_type = "OBJECT"


def in_one_undo_step(collection: Any) -> None:
    """As :func:`show`, and make what was imported one step of undo, which a timer has to do itself."""
    show(collection)
    window = next(iter(bpy.context.window_manager.windows), None)
    with bpy.context.temp_override(window=window):
        if bpy.ops.ed.undo_push.poll():
            bpy.ops.ed.undo_push(message="Import Objects")


CLASSES = (SPLATLIFT_OT_import_result, SPLATLIFT_OT_stop_import)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
