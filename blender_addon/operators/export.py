"""Export objects to a splat file or a mesh file, with what was moved baked in."""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of an operator from its annotations.

from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
from bpy_extras.io_utils import ExportHelper

from protocol.errors import BadArgument

from .. import session
from ..settings import chosen_object, shown_scene
from ..splats.export import export_objects
from ..splats.export_mesh import ENDINGS, export_meshes
from .reporting import reporting

WHAT = (
    ("OBJECT", "Object", "The active object in the list"),
    ("SELECTED", "Selected", "All objects that are selected in the view"),
    ("SCENE", "Scene", "The whole scene with all edits"),
)


class _Export(ExportHelper):
    # Blender would take these for properties of its own.
    if TYPE_CHECKING:
        what: str
        filepath: str
        filename_ext: str

    @classmethod
    def poll(cls, context: Any) -> bool:
        if not session.scenes():
            cls.poll_message_set("Import a result first")  # pyright: ignore[reportAttributeAccessIssue]
            return False
        return True

    def invoke(self, context: Any, event: Any) -> set[str]:
        chosen = chosen_object(context) if self.what == "OBJECT" else shown_scene(context)
        if chosen is not None:
            # In the folder of the last export, but under this object's name.
            self.filepath = str(Path(self.filepath).parent / f"{bpy.path.clean_name(chosen.name)}{self.filename_ext}")
        return ExportHelper.invoke(self, context, event)


class SPLATLIFT_OT_export(_Export, bpy.types.Operator):
    """Write Gaussians to a PLY file for splat viewers"""

    bl_idname = "splatlift.export"
    bl_label = "Export"

    filename_ext = ".ply"
    filter_glob: bpy.props.StringProperty(default="*.ply", options={"HIDDEN"})
    what: bpy.props.EnumProperty(name="Export", items=WHAT)
    background: bpy.props.BoolProperty(
        name="Background", description="Also write Gaussians that belong to no object", default=True
    )
    frame: bpy.props.EnumProperty(
        name="Frame",
        items=(
            ("CAPTURE", "Capture", "Axes and scale of the capture. An unedited object is written unchanged"),
            ("WORLD", "World", "Axes and scale of Blender, with Z up"),
        ),
    )

    @reporting
    def execute(self, context: Any) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath))
        # An object that was asked for by itself is written, be it the background.
        background = self.background or self.what != "SCENE"
        count = export_objects(chosen(self.what, context), path, background=background, frame=self.frame)
        self.report({"INFO"}, f"{count:,} Gaussians written to {path}")
        return {"FINISHED"}


class SPLATLIFT_OT_export_mesh(_Export, bpy.types.Operator):
    """Write object surfaces to a mesh file"""

    bl_idname = "splatlift.export_mesh"
    bl_label = "Export Mesh"

    filename_ext = ENDINGS[0]
    filter_glob: bpy.props.StringProperty(default=";".join(f"*{each}" for each in ENDINGS), options={"HIDDEN"})
    what: bpy.props.EnumProperty(name="Export", items=WHAT)
    ending: bpy.props.EnumProperty(name="Format", items=tuple((each, each[1:].upper(), "") for each in ENDINGS))

    def check(self, context: Any) -> bool:
        self.filename_ext = self.ending
        return ExportHelper.check(self, context)

    @reporting
    def execute(self, context: Any) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath))
        count = export_meshes(chosen(self.what, context), path)
        self.report({"INFO"}, f"{count:,} faces written to {path}")
        return {"FINISHED"}


def chosen(what: str, context: Any) -> list[Any]:
    """Return the collections that one of :data:`WHAT` names.

    Raises:
        BadArgument: if there are none.
    """
    if what == "SCENE":
        return [shown_scene(context)]
    if what == "OBJECT":
        part = chosen_object(context)
        if part is None:
            raise BadArgument("No object is active in the list.", "Click an object in the list, or export the scene.")
        return [part]
    selected = set(context.selected_objects)
    parts = [part for scene in session.scenes() for part in scene.children_recursive]
    touched = [part for part in parts if not selected.isdisjoint(part.objects)]
    if not touched:
        raise BadArgument("No imported object is selected.", "Select objects in the view, or export the scene.")
    return touched


CLASSES = (SPLATLIFT_OT_export, SPLATLIFT_OT_export_mesh)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
