"""Export objects to a file of Gaussians or of a mesh, with transforms applied.

Both exports are also in Blender's File > Export, and available as exporters of collections.
"""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of an operator from its annotations.

import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import bpy
from bpy_extras.io_utils import ExportHelper

from protocol.errors import BadArgument
from protocol.formats.registry import BY_NAME, format_of, with_ending

from .. import session
from ..settings import chosen_object, shown_scene
from ..splats.export import export_objects, formats_here
from ..splats.export_mesh import ENDINGS, export_meshes
from .edit_targets import has_scene
from .reporting import reporting

WHAT = (
    ("OBJECT", "Object", "The active object in the list"),
    ("SELECTED", "Selected", "All objects that are selected in the view"),
    ("SCENE", "Scene", "The whole scene with all edits"),
)
BY_ENDING = "BY_ENDING"
FORMATS = (
    (BY_ENDING, "By Ending", "Format of the file ending"),
    *((each.name, each.title, f"Keeps {each.keeps}") for each in formats_here()),
)
WIDTH = 44
"""Characters per line next to the file dialog."""


class _Export(ExportHelper):
    # At runtime Blender would register these annotations as properties.
    if TYPE_CHECKING:
        what: str
        collection: str
        filepath: str
        filename_ext: str
        report: Callable[[set[str], str], None]

    @classmethod
    def poll(cls, context: Any) -> bool:
        return has_scene(cls)

    def invoke(self, context: Any, event: Any) -> Any:
        try:
            parts = self._parts(context)
        except BadArgument as fault:
            self.report({"ERROR"}, str(fault))
            return {"CANCELLED"}
        # In the folder of the last export, but with the name of what is exported.
        name = parts[0].name if len(parts) == 1 else f"{shown_scene(context).name} selected"
        self.filepath = str(Path(self.filepath).parent / f"{bpy.path.clean_name(name)}{self.filename_ext}")
        return ExportHelper.invoke(self, context, event)

    def _parts(self, context: Any) -> list[Any]:
        return [_collection(self.collection)] if self.collection else chosen(self.what, context)

    @contextmanager
    def _reporting_warnings(self) -> Iterator[None]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            yield
        for each in caught:
            self.report({"WARNING"}, str(each.message))


class SPLATLIFT_OT_export(_Export, bpy.types.Operator):
    """Write Gaussians to a file for viewers and other programs"""

    bl_idname = "splatlift.export"
    bl_label = "Export"

    filename_ext = ".ply"
    filter_glob: bpy.props.StringProperty(
        default=";".join(f"*{ending}" for each in formats_here() for ending in each.endings), options={"HIDDEN"}
    )
    what: bpy.props.EnumProperty(name="Export", items=WHAT)
    format: bpy.props.EnumProperty(name="Format", items=FORMATS)
    labels: bpy.props.BoolProperty(
        name="Labels", description="Also write the label of each Gaussian, in the file or in a separate file"
    )
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
    # Blender sets it when a collection is exported by its own exporter.
    collection: bpy.props.StringProperty(options={"HIDDEN"})

    def check(self, context: Any) -> bool:
        if self.format == BY_ENDING:
            return False
        before = self.filepath
        self.filepath = str(with_ending(Path(before), BY_NAME[self.format]))
        return self.filepath != before

    def draw(self, context: Any) -> None:
        layout = cast(Any, self.layout)
        layout.use_property_split = True
        if not self.collection:
            layout.prop(self, "what")
        for name in ("format", "labels", "background", "frame"):
            row = layout.row()
            # Without the scene the background is written only if it was chosen itself.
            row.enabled = name != "background" or bool(self.collection) or self.what == "SCENE"
            row.prop(self, name)
        if self.format != BY_ENDING:
            for line in textwrap.wrap(f"Keeps {BY_NAME[self.format].keeps}", WIDTH):
                layout.label(text=line)

    @reporting
    def execute(self, context: Any) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath))
        name = None if self.format == BY_ENDING else self.format
        format_of(path, name, ("gaussians",))
        # The background is written if it was requested explicitly.
        background = self.background or (not self.collection and self.what != "SCENE")
        parts = self._parts(context)
        with self._reporting_warnings():
            count = export_objects(parts, path, background=background, frame=self.frame, name=name, labels=self.labels)
        self.report({"INFO"}, f"{count:,} Gaussians written to {path}")
        return {"FINISHED"}


class SPLATLIFT_FH_gaussians(bpy.types.FileHandler):
    """Exporter in the properties of a collection."""

    bl_idname = "SPLATLIFT_FH_gaussians"
    bl_label = "SplatLift Gaussians"
    bl_export_operator = SPLATLIFT_OT_export.bl_idname
    bl_file_extensions = ";".join(
        dict.fromkeys(Path(ending).suffix or ending for each in formats_here() for ending in each.endings)
    )


class SPLATLIFT_OT_export_mesh(_Export, bpy.types.Operator):
    """Write object surfaces with their textures to a mesh file"""

    bl_idname = "splatlift.export_mesh"
    bl_label = "Export Mesh"

    filename_ext = ENDINGS[0]
    filter_glob: bpy.props.StringProperty(default=";".join(f"*{each}" for each in ENDINGS), options={"HIDDEN"})
    what: bpy.props.EnumProperty(name="Export", items=WHAT)
    ending: bpy.props.EnumProperty(name="Format", items=tuple((each, each[1:].upper(), "") for each in ENDINGS))
    # Blender sets it when a collection is exported by its own exporter.
    collection: bpy.props.StringProperty(options={"HIDDEN"})

    def check(self, context: Any) -> bool:
        self.filename_ext = self.ending
        return ExportHelper.check(self, context)

    def draw(self, context: Any) -> None:
        layout = cast(Any, self.layout)
        layout.use_property_split = True
        for name in ("ending",) if self.collection else ("what", "ending"):
            layout.prop(self, name)

    @reporting
    def execute(self, context: Any) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath))
        parts = self._parts(context)
        with self._reporting_warnings():
            count = export_meshes(parts, path)
        self.report({"INFO"}, f"{count:,} faces written to {path}")
        return {"FINISHED"}


class SPLATLIFT_FH_meshes(bpy.types.FileHandler):
    """Exporter in the properties of a collection."""

    bl_idname = "SPLATLIFT_FH_meshes"
    bl_label = "SplatLift Meshes"
    bl_export_operator = SPLATLIFT_OT_export_mesh.bl_idname
    bl_file_extensions = ";".join(ENDINGS)


def _collection(name: str) -> Any:
    collection = bpy.data.collections.get(name)
    if collection is None:
        raise BadArgument(f"The collection {name} does not exist.", "Export it by hand.")
    return collection


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


def draw_in_menu(self: Any, context: Any) -> None:
    """Add both exports to File > Export."""
    self.layout.operator(SPLATLIFT_OT_export.bl_idname, text="Gaussians of SplatLift").what = "SCENE"
    self.layout.operator(SPLATLIFT_OT_export_mesh.bl_idname, text="Meshes of SplatLift").what = "SCENE"


CLASSES = (SPLATLIFT_OT_export, SPLATLIFT_OT_export_mesh, SPLATLIFT_FH_gaussians, SPLATLIFT_FH_meshes)

_register, _unregister = bpy.utils.register_classes_factory(CLASSES)


def register() -> None:
    _register()
    menu: Any = bpy.types.TOPBAR_MT_file_export
    menu.append(draw_in_menu)


def unregister() -> None:
    menu: Any = bpy.types.TOPBAR_MT_file_export
    menu.remove(draw_in_menu)
    _unregister()
