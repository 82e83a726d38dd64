"""Export objects to a splat file, with what was moved baked in."""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of an operator from its annotations.

from pathlib import Path
from typing import Any

import bpy
from bpy_extras.io_utils import ExportHelper

from protocol.errors import BadArgument

from .. import session
from ..settings import chosen_object, shown_scene
from ..splats.export import export_objects
from .reporting import reporting


class SPLATLIFT_OT_export(bpy.types.Operator, ExportHelper):
    """Write Gaussians to a PLY file that splat viewers open"""

    bl_idname = "splatlift.export"
    bl_label = "Export"

    filename_ext = ".ply"
    filter_glob: bpy.props.StringProperty(default="*.ply", options={"HIDDEN"})
    what: bpy.props.EnumProperty(
        name="Export",
        items=(
            ("OBJECT", "Object", "The object that is chosen in the list"),
            ("SELECTED", "Selected", "All objects of which something is selected in the view"),
            ("SCENE", "Scene", "The whole scene with its background"),
        ),
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        if not session.scenes():
            cls.poll_message_set("Import a result first")
            return False
        return True

    def invoke(self, context: Any, event: Any) -> set[str]:
        chosen = chosen_object(context) if self.what == "OBJECT" else shown_scene(context)
        if chosen is not None:
            # In the folder of the last export, but under this object's name.
            self.filepath = str(Path(self.filepath).parent / f"{bpy.path.clean_name(chosen.name)}.ply")
        return ExportHelper.invoke(self, context, event)

    @reporting
    def execute(self, context: Any) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath))
        count = export_objects(self._collections(context), path)
        self.report({"INFO"}, f"{count:,} Gaussians written to {path}")
        return {"FINISHED"}

    def _collections(self, context: Any) -> list[Any]:
        if self.what == "SCENE":
            return [shown_scene(context)]
        if self.what == "OBJECT":
            chosen = chosen_object(context)
            if chosen is None:
                raise BadArgument("No object is chosen in the list.", "Click one, or export the scene.")
            return [chosen]
        selected = set(context.selected_objects)
        parts = [part for scene in session.scenes() for part in scene.children_recursive]
        touched = [part for part in parts if not selected.isdisjoint(part.objects)]
        if not touched:
            raise BadArgument("No imported object is selected.", "Select some in the view, or export the scene.")
        return touched


CLASSES = (SPLATLIFT_OT_export,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
