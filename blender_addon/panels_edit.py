"""The Edit panel: the edited objects, and a button for each edit. It only draws."""

from typing import Any

import bpy

from protocol.lists import first_of

from .editing.cleanup import marked_in
from .editing.isolate import is_isolating
from .operators.edit_cleanup import sentence_on
from .operators.edit_targets import NOTHING, targets
from .panels import ScenePanel, draw_text
from .settings import settings, shown_scene

NAMED = 4
"""Most object names above the buttons; more are only counted."""


class SPLATLIFT_PT_edit(ScenePanel, bpy.types.Panel):
    """Edit the objects selected in the view, or the active one in the list."""

    bl_label = "Edit"

    def draw(self, context: Any) -> None:
        found = targets(context)
        column = self.layout.column(align=True)
        draw_text(column, context, _title(found) if found else NOTHING, "OBJECT_DATA" if found else "INFO")
        marked = marked_in(found)
        if marked.total:
            draw_text(column, context, sentence_on(marked), "INFO")
            row = column.row(align=True)
            row.operator("splatlift.remove_marked", text="Delete Marked", icon="TRASH")
            row.operator("splatlift.clear_marks", text="Cancel", icon="X")
        if context.mode.startswith("EDIT"):
            _draw_gaussians(self.layout, settings(context))
        else:
            _draw_objects(self.layout, shown_scene(context), settings(context))
        self.layout.operator("splatlift.save_edits", text="Save Edits to Result", icon="FILE_TICK")


def _draw_objects(layout: Any, scene: Any, chosen: Any) -> None:
    column = layout.column(align=True)
    row = column.row(align=True)
    row.operator("splatlift.rename", text="Rename...")
    row.operator("splatlift.recolour", text="Colour...")
    row = column.row(align=True)
    row.operator("splatlift.merge", text="Merge").and_alike = chosen.and_alike
    row.operator("splatlift.duplicate", text="Duplicate")
    row = column.row(align=True)
    if is_isolating(scene):
        row.operator("splatlift.show_others", text="Show Others", icon="HIDE_OFF")
    else:
        row.operator("splatlift.isolate", text="Isolate", icon="HIDE_ON")
    row.operator("splatlift.delete", text="Delete", icon="TRASH")
    column = layout.column(align=True)
    row = column.row(align=True)
    row.operator("splatlift.show_form", text="As Gaussians").form = "GAUSSIANS"
    row.operator("splatlift.show_form", text="As Mesh").form = "MESH"
    row = column.row(align=True)
    row.operator("splatlift.set_origin", text="Origin to Base").place = "BASE"
    row.operator("splatlift.set_origin", text="Origin to Centre").place = "CENTRE"
    column.operator("splatlift.add_hulls", text="Collision Hulls...")
    column = layout.column(align=True)
    column.operator("splatlift.split_pieces", text="Split into Pieces")
    row = column.row(align=True)
    row.operator("splatlift.mark_floaters", text="Mark Floaters")
    row.operator("splatlift.remove_floaters", text="Remove Floaters")
    layout.label(text="Edit Gaussians: Edit Mode (Tab)", icon="EDITMODE_HLT")


def _draw_gaussians(layout: Any, chosen: Any) -> None:
    column = layout.column(align=True)
    column.operator("splatlift.select_similar", text="Select Similar")
    row = column.row(align=True)
    row.operator("splatlift.grow_selection", text="Grow", icon="ADD")
    row.operator("splatlift.shrink_selection", text="Shrink", icon="REMOVE")
    column = layout.column(align=True)
    column.operator("splatlift.split_selection", text="Split Selection").and_alike = chosen.and_alike
    column.menu("SPLATLIFT_MT_assign", text="Assign to Object")
    column.operator("splatlift.assign_to_background", text="Assign to Background").and_alike = chosen.and_alike
    column.operator("splatlift.delete_selection", text="Delete Selection", icon="TRASH")


def _title(parts: list[Any]) -> str:
    if len(parts) == 1:
        return parts[0].name
    return f"{len(parts)} objects: {first_of([part.name for part in parts], NAMED)}"


CLASSES = (SPLATLIFT_PT_edit,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
