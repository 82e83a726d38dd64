"""Delete the cube of Blender's startup file, which stands in the middle of an imported scene."""

from typing import Any

import bpy

from ..startup import startup_cube
from .reporting import Outcome


class SPLATLIFT_OT_delete_startup_cube(bpy.types.Operator):
    """Delete the cube of Blender's startup file, which is in the view and unchanged"""

    bl_idname = "splatlift.delete_startup_cube"
    bl_label = "Delete Startup Cube"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return context.mode == "OBJECT" and startup_cube(context) is not None

    def execute(self, context: Any) -> Outcome:
        cube = startup_cube(context)
        bpy.data.batch_remove([cube, *([cube.data] if cube.data.users == 1 else [])])
        return {"FINISHED"}


CLASSES = (SPLATLIFT_OT_delete_startup_cube,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
