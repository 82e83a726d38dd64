"""Clean up the selected objects: mark floaters, look at them, delete or keep them."""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of an operator from its annotations.

from typing import Any

import bpy

from ..editing.cleanup import OPACITY, SIZE, VIEWS, Marked, clear_marks, mark_floaters, remove_marked
from ..editing.floaters import GAP, LARGEST
from .edit_targets import EditOperator, need_targets
from .reporting import reporting


class SPLATLIFT_OT_mark_floaters(EditOperator, bpy.types.Operator):
    """Mark Gaussians of the selected objects that are probably floaters. Marked Gaussians are red and selected in \
Edit Mode. Nothing is deleted yet"""

    bl_idname = "splatlift.mark_floaters"
    bl_label = "Mark Floaters"

    opacity: bpy.props.FloatProperty(
        name="Opacity",
        description="Mark Gaussians less opaque than this. 0 marks none",
        default=OPACITY,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    size: bpy.props.FloatProperty(
        name="Size",
        description="Mark Gaussians larger than this multiple of the typical size in the object. 0 marks none",
        default=SIZE,
        min=0.0,
        soft_max=100.0,
    )
    gap: bpy.props.FloatProperty(
        name="Distance",
        description="Mark small pieces farther from the rest than this multiple of the typical distance between "
        "Gaussians. 0 marks none",
        default=GAP,
        min=0.0,
        soft_max=20.0,
        max=1000.0,
    )
    largest: bpy.props.FloatProperty(
        name="Largest Piece",
        description="Largest share of its object that such a piece can have",
        default=100 * LARGEST,
        min=0.0,
        max=50.0,
        subtype="PERCENTAGE",
    )
    views: bpy.props.IntProperty(
        name="Views",
        description="Mark Gaussians that are in the frame of fewer cameras of the capture than this. 0 marks none",
        default=VIEWS,
        min=0,
    )

    @reporting
    def execute(self, context: Any) -> set[str]:
        found = mark_floaters(
            need_targets(context),
            opacity=self.opacity,
            size=self.size,
            gap=self.gap,
            largest=self.largest / 100,
            views=self.views,
        )
        self.report({"INFO"}, sentence_on(found))
        return {"FINISHED"}


class SPLATLIFT_OT_remove_marked(EditOperator, bpy.types.Operator):
    """Delete the marked Gaussians of the selected objects"""

    bl_idname = "splatlift.remove_marked"
    bl_label = "Delete Marked"

    @reporting
    def execute(self, context: Any) -> set[str]:
        self.report({"INFO"}, f"{remove_marked(need_targets(context)):,} Gaussians deleted")
        return {"FINISHED"}


class SPLATLIFT_OT_clear_marks(EditOperator, bpy.types.Operator):
    """Keep the marked Gaussians of the selected objects and remove the marks"""

    bl_idname = "splatlift.clear_marks"
    bl_label = "Cancel"

    @reporting
    def execute(self, context: Any) -> set[str]:
        clear_marks(need_targets(context))
        return {"FINISHED"}


def sentence_on(found: Marked) -> str:
    """Return what is marked in words."""
    if not found.total:
        return "No floaters found"
    reasons = ", ".join(f"{count:,} by {name}" for name, count in found._asdict().items() if count and name != "total")
    return f"{found.total:,} Gaussians marked{': ' if reasons else ''}{reasons}"


CLASSES = (SPLATLIFT_OT_mark_floaters, SPLATLIFT_OT_remove_marked, SPLATLIFT_OT_clear_marks)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
