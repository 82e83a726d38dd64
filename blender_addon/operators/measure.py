"""Give a scene its real size: two points are measured, and a person says how far apart they are."""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of an operator from its annotations.

from typing import Any

import bmesh
import bpy
from mathutils import Vector

from protocol.errors import BadArgument

from ..drawing import Draws
from ..editing.parts import KINDS
from ..editing.real_size import set_real_distance
from ..settings import settings
from .edit_targets import need_scene
from .look import OfScene
from .reporting import Outcome, reporting


class SPLATLIFT_OT_start_measuring(OfScene, bpy.types.Operator):
    """Use the 3D cursor as the first point of a measurement. Then move the cursor and choose Real Distance"""

    bl_idname = "splatlift.start_measuring"
    bl_label = "Measure From Cursor"

    def execute(self, context: Any) -> Outcome:
        chosen = settings(context)
        chosen.measured_from = context.scene.cursor.location
        chosen.is_measuring = True
        return {"FINISHED"}


class SPLATLIFT_OT_set_real_distance(Draws, OfScene, bpy.types.Operator):
    """Scale the scene so that a distance has its real length: between two selected vertices, two selected objects, \
or the first measured point and the 3D cursor"""

    bl_idname = "splatlift.set_real_distance"
    bl_label = "Real Distance"

    first: bpy.props.FloatVectorProperty(name="From", subtype="XYZ", options={"SKIP_SAVE"})
    second: bpy.props.FloatVectorProperty(name="To", subtype="XYZ", options={"SKIP_SAVE"})
    length: bpy.props.FloatProperty(
        name="Real Length", description="Real distance between the two points, in metres", min=0.0, unit="LENGTH"
    )

    def invoke(self, context: Any, event: Any) -> Outcome:
        found = measured(context)
        if found is None:
            self.report({"ERROR"}, "Select two vertices or two objects, or measure from the 3D cursor first.")
            return {"CANCELLED"}
        self.first, self.second = found
        self.length = (found[1] - found[0]).length
        return context.window_manager.invoke_props_dialog(self)

    def draw(self, context: Any) -> None:
        self.layout.label(text=f"Measured: {(Vector(self.second) - Vector(self.first)).length:.4g} m")
        self.layout.prop(self, "length")

    @reporting
    def execute(self, context: Any) -> set[str]:
        if not self.properties.is_property_set("first"):
            raise BadArgument("No points were measured.", "Give the arguments first, second and length.")
        factor = set_real_distance(need_scene(context), self.first, self.second, self.length)
        settings(context).is_measuring = False
        self.report({"INFO"}, f"The scene was scaled by {factor:.4g}")
        return {"FINISHED"}


def measured(context: Any) -> tuple[Vector, Vector] | None:
    """Return the two points in the world that are measured now, or None.

    They are two selected vertices in Edit Mode, two selected objects, or the first measured point and the 3D cursor.
    All imported objects may have the same origin, so their place is the middle of their bounds.
    """
    points: list[Vector] = []
    if context.mode == "EDIT_MESH":
        for thing in context.objects_in_mode:
            mesh = bmesh.from_edit_mesh(thing.data)
            points += [thing.matrix_world @ vertex.co for vertex in mesh.verts if vertex.select]
    elif context.mode == "OBJECT" and not settings(context).is_measuring:
        points = [_place_of(thing) for thing in context.selected_objects]
    if len(points) == 2:
        return points[0], points[1]
    if settings(context).is_measuring:
        return Vector(settings(context).measured_from), context.scene.cursor.location.copy()
    return None


def _place_of(thing: Any) -> Vector:
    is_imported = any(each.splatlift.kind in KINDS for each in thing.users_collection)
    if not is_imported or thing.type == "EMPTY":
        return thing.matrix_world.translation.copy()
    return thing.matrix_world @ (sum((Vector(corner) for corner in thing.bound_box), Vector()) / 8)


CLASSES = (SPLATLIFT_OT_start_measuring, SPLATLIFT_OT_set_real_distance)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
