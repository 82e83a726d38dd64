"""The panel below the list of objects that searches by words, and the one of corrections below the Edit panel."""

from typing import Any

import bpy

from .operators.search import search
from .panels import ScenePanel, draw_text
from .settings import settings


class SPLATLIFT_PT_words(ScenePanel, bpy.types.Panel):
    """Search the objects that a text names."""

    bl_label = "Search by Words"
    bl_parent_id = "SPLATLIFT_PT_objects"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        column = self.layout.column(align=True)
        row = column.row(align=True)
        row.prop(settings(context), "search", text="", icon="VIEWZOOM")
        if search.request is not None:
            row.operator("splatlift.stop_search", text="", icon="X")
            column.progress(text=search.note or "Searching", factor=search.fraction)
        else:
            row.operator("splatlift.search", text="Search")
        for line in search.lines:
            draw_text(column, context, line, "NONE")


class SPLATLIFT_PT_alike(ScenePanel, bpy.types.Panel):
    """Corrections of everything like it."""

    bl_label = "Everything Like It"
    bl_parent_id = "SPLATLIFT_PT_edit"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        self.layout.prop(settings(context), "and_alike")
        row = self.layout.row()
        row.operator_context = "INVOKE_DEFAULT"
        row.operator("splatlift.undo_correction")


CLASSES = (SPLATLIFT_PT_words, SPLATLIFT_PT_alike)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
