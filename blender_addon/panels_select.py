"""The Select panel: clicks in the view."""

from typing import TYPE_CHECKING, Any

import bpy

from .panels import CATEGORY


class SPLATLIFT_PT_select(bpy.types.Panel):
    """Ways to select objects."""

    bl_label = "Select"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = CATEGORY
    bl_parent_id = "SPLATLIFT_PT_objects"
    if TYPE_CHECKING:

        @property
        def layout(self) -> Any:
            """The layout to draw in; never None while drawing."""

    def draw(self, context: Any) -> None:
        column = self.layout.column()
        column.operator_context = "INVOKE_DEFAULT"
        column.operator("splatlift.select_by_click", icon="RESTRICT_SELECT_OFF")


CLASSES = (SPLATLIFT_PT_select,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
