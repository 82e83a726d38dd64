"""Edits of the form of the selected objects: Gaussians or meshes, origin, collision hulls."""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of an operator from its annotations.

from typing import Any

import bpy

from ..editing.forms import show_form
from ..editing.hulls import add_hulls
from ..editing.origin import set_origin
from ..editing.show_only import show_only
from ..settings import shown_scene
from .edit_targets import EditOperator, need_targets
from .importing import colour_solid_views
from .reporting import Outcome, reporting


class SPLATLIFT_OT_show_form(EditOperator, bpy.types.Operator):
    """Show the selected objects as Gaussians or as meshes. The other form is kept and hidden"""

    bl_idname = "splatlift.show_form"
    bl_label = "Show Form"

    form: bpy.props.EnumProperty(
        name="Form",
        items=(
            ("GAUSSIANS", "Gaussians", "Show the Gaussians; the mesh is kept and hidden"),
            ("MESH", "Mesh", "Show the mesh that came with the result; the Gaussians are kept and hidden"),
        ),
    )

    @reporting
    def execute(self, context: Any) -> set[str]:
        found = need_targets(context)
        show_form(found, self.form)
        colour_solid_views(shown_scene(context))
        show_only(context, found)
        return {"FINISHED"}


class SPLATLIFT_OT_set_origin(EditOperator, bpy.types.Operator):
    """Set the origin of the selected objects to their base or centre. The objects do not move"""

    bl_idname = "splatlift.set_origin"
    bl_label = "Set Origin"

    place: bpy.props.EnumProperty(
        name="Origin",
        items=(
            ("BASE", "Base", "Middle of the object at its lowest point"),
            ("CENTRE", "Centre", "Middle of the object"),
        ),
    )

    @reporting
    def execute(self, context: Any) -> set[str]:
        set_origin(need_targets(context), self.place)
        return {"FINISHED"}


class SPLATLIFT_OT_add_hulls(EditOperator, bpy.types.Operator):
    """Add collision hulls to the selected objects as child objects and replace existing ones"""

    bl_idname = "splatlift.add_hulls"
    bl_label = "Collision Hulls"

    kind: bpy.props.EnumProperty(
        name="Hull",
        items=(
            ("BOX", "Box", "The smallest upright box"),
            ("CONVEX", "Convex Hull", "One convex hull"),
            ("PARTS", "Convex Parts", "Several convex hulls of a mesh. Needs the package coacd"),
        ),
        default="CONVEX",
    )

    def invoke(self, context: Any, event: Any) -> Outcome:
        return context.window_manager.invoke_props_dialog(self)

    @reporting
    def execute(self, context: Any) -> set[str]:
        made = add_hulls(need_targets(context), self.kind)
        self.report({"INFO"}, f"{len(made)} collision {'hulls' if len(made) > 1 else 'hull'} added")
        return {"FINISHED"}


CLASSES = (SPLATLIFT_OT_show_form, SPLATLIFT_OT_set_origin, SPLATLIFT_OT_add_hulls)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
