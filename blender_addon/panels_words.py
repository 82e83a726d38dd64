"""The panel below the list of objects that searches and names by words, and the one of corrections below Edit."""

from typing import Any

import bpy

from .operators.naming import naming
from .operators.search import search
from .operators.waiting import Waiting
from .panels import ScenePanel, draw_text
from .settings import settings


class SPLATLIFT_PT_words(ScenePanel, bpy.types.Panel):
    """Search the objects that a text names, and name objects from a list of words."""

    bl_label = "Search by Words"
    bl_parent_id = "SPLATLIFT_PT_objects"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        column = self.layout.column(align=True)
        row = column.row(align=True)
        row.prop(settings(context), "search", text="", icon="VIEWZOOM")
        if search.request is not None:
            row.operator("splatlift.stop_search", text="", icon="X")
        else:
            row.operator("splatlift.search", text="Search")
        _draw_answer(column, context, search, "Searching")
        column = self.layout.column(align=True)
        row = column.row(align=True)
        row.prop(settings(context), "names", text="", icon="FONT_DATA")
        if naming.request is not None:
            row.operator("splatlift.stop_naming", text="", icon="X")
        else:
            row.operator("splatlift.name_objects", text="Name")
        _draw_answer(column, context, naming, "Naming")


def _draw_answer(column: Any, context: Any, waiting: Waiting, title: str) -> None:
    """Draw the progress of a running question, or what the last one found."""
    if waiting.request is not None:
        column.progress(text=waiting.note or title, factor=waiting.fraction)
    for line in waiting.lines:
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
