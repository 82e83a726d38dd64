"""The Select panel: clicks in the view."""

from typing import Any

import bpy

from .panels import SidePanel


class SPLATLIFT_PT_select(SidePanel, bpy.types.Panel):
    """Ways to select objects."""

    bl_label = "Select"
    bl_parent_id = "SPLATLIFT_PT_objects"

    def draw(self, context: Any) -> None:
        column = self.layout.column()
        column.operator_context = "INVOKE_DEFAULT"
        column.operator("splatlift.select_by_click", icon="RESTRICT_SELECT_OFF")


CLASSES = (SPLATLIFT_PT_select,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
