"""Edit the Gaussians of objects: split, assign, delete, remove floaters."""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of an operator from its annotations.

from typing import Any

import bpy

from protocol.errors import NotFound
from protocol.lists import first_of

from .. import session
from ..drawing import Draws
from ..editing.assign import assign, assign_to_background
from ..editing.corrected import Asked, assigned, separate
from ..editing.floaters import GAP, LARGEST, remove_floaters
from ..editing.parts import scene_of
from ..editing.remove import delete_selection
from ..editing.show_only import show_only
from ..editing.split import split_pieces, split_selection
from ..settings import settings, shown_scene
from .correcting import CorrectingOperator, take
from .edit_targets import EditOperator, need_targets
from .reporting import reporting


class SPLATLIFT_OT_split_selection(CorrectingOperator, bpy.types.Operator):
    """Move the Gaussians selected in Edit Mode to a new object, one for each edited object"""

    bl_idname = "splatlift.split_selection"
    bl_label = "Split Selection"

    def asked(self, context: Any) -> Asked:
        return separate(need_targets(context))

    @reporting
    def execute(self, context: Any) -> set[str]:
        if self.and_alike:
            return take(self, scene_of(need_targets(context)[0]), self.asked(context))
        made = split_selection(need_targets(context))
        show_only(context, made)
        self.report({"INFO"}, f"New: {_names(made)}")
        return {"FINISHED"}


class SPLATLIFT_OT_split_pieces(EditOperator, bpy.types.Operator):
    """Make every separate piece a new object. The largest piece stays in the object"""

    bl_idname = "splatlift.split_pieces"
    bl_label = "Split into Pieces"

    gap: bpy.props.FloatProperty(
        name="Gap",
        description="Smallest distance between pieces, as a multiple of the typical distance between Gaussians",
        default=1.0,
        min=0.1,
        soft_max=10.0,
        max=1000.0,
    )
    smallest: bpy.props.IntProperty(
        name="Smallest",
        description="Smallest number of Gaussians in a piece. Smaller pieces stay with the largest one",
        default=50,
        min=1,
    )

    @reporting
    def execute(self, context: Any) -> set[str]:
        made = split_pieces(need_targets(context), gap=self.gap, smallest=self.smallest)
        show_only(context, made)
        self.report({"INFO"}, f"New: {_names(made)}")
        return {"FINISHED"}


class SPLATLIFT_OT_assign(CorrectingOperator, bpy.types.Operator):
    """Assign the Gaussians selected in Edit Mode to another object"""

    bl_idname = "splatlift.assign"
    bl_label = "Assign to Object"

    object_id: bpy.props.StringProperty(name="Object Id", description="Id of the target object", options={"SKIP_SAVE"})
    collection: bpy.props.StringProperty(name="Collection", description=session.OF_SEVERAL, options={"SKIP_SAVE"})

    def target(self) -> Any:
        """Return the collection of the target object.

        Raises:
            NotFound: if it is not in the file.
        """
        to = session.find(self.object_id, self.collection)
        if to is None:
            raise NotFound("The target object is not in this file.", "Choose an object from the menu.")
        return to

    def asked(self, context: Any) -> Asked:
        return assigned(need_targets(context), self.target())

    @reporting
    def execute(self, context: Any) -> set[str]:
        to = self.target()
        if self.and_alike:
            return take(self, scene_of(to), self.asked(context))
        moved = assign(need_targets(context), to)
        self.report({"INFO"}, f"{moved:,} Gaussians now belong to {to.name}")
        return {"FINISHED"}


class SPLATLIFT_OT_assign_to_background(CorrectingOperator, bpy.types.Operator):
    """Assign the Gaussians selected in Edit Mode to the background"""

    bl_idname = "splatlift.assign_to_background"
    bl_label = "Assign to Background"

    def asked(self, context: Any) -> Asked:
        return assigned(need_targets(context), None)

    @reporting
    def execute(self, context: Any) -> set[str]:
        if self.and_alike:
            return take(self, scene_of(need_targets(context)[0]), self.asked(context))
        moved = assign_to_background(need_targets(context))
        self.report({"INFO"}, f"{moved:,} Gaussians now belong to the background")
        return {"FINISHED"}


class SPLATLIFT_OT_delete_selection(EditOperator, bpy.types.Operator):
    """Delete the Gaussians selected in Edit Mode"""

    bl_idname = "splatlift.delete_selection"
    bl_label = "Delete Selection"

    @reporting
    def execute(self, context: Any) -> set[str]:
        count = delete_selection(need_targets(context))
        self.report({"INFO"}, f"{count:,} Gaussians deleted")
        return {"FINISHED"}


class SPLATLIFT_OT_remove_floaters(EditOperator, bpy.types.Operator):
    """Delete small pieces far from the rest of the selected objects"""

    bl_idname = "splatlift.remove_floaters"
    bl_label = "Remove Floaters"

    gap: bpy.props.FloatProperty(
        name="Distance",
        description="Smallest distance of a floater, as a multiple of the typical distance between Gaussians",
        default=GAP,
        min=0.1,
        soft_max=20.0,
        max=1000.0,
    )
    largest: bpy.props.FloatProperty(
        name="Largest",
        description="Largest share of its object that a floater can have. Larger pieces are kept",
        default=100 * LARGEST,
        min=0.0,
        max=50.0,
        subtype="PERCENTAGE",
    )

    @reporting
    def execute(self, context: Any) -> set[str]:
        removed = remove_floaters(need_targets(context), gap=self.gap, largest=self.largest / 100)
        self.report({"INFO"}, f"{removed:,} Gaussians removed" if removed else "No floaters found")
        return {"FINISHED"}


class SPLATLIFT_MT_assign(Draws, bpy.types.Menu):
    """Objects that the selection can be assigned to."""

    bl_label = "Assign to Object"

    def draw(self, context: Any) -> None:
        scene = shown_scene(context)
        self.layout.operator_context = "INVOKE_DEFAULT"
        for part in session.units_of(scene) if scene is not None else ():
            button = self.layout.operator("splatlift.assign", text=part.name, translate=False)
            button.object_id, button.collection = part.splatlift.object_id, part.name
            button.and_alike = settings(context).and_alike


def _names(parts: list[Any]) -> str:
    return first_of([part.name for part in parts])


CLASSES = (
    SPLATLIFT_OT_split_selection,
    SPLATLIFT_OT_split_pieces,
    SPLATLIFT_OT_assign,
    SPLATLIFT_OT_assign_to_background,
    SPLATLIFT_OT_delete_selection,
    SPLATLIFT_OT_remove_floaters,
    SPLATLIFT_MT_assign,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
