"""Display of imported objects: colours, points or splats, and the cameras of the capture."""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of an operator from its annotations.

from typing import Any

import bpy

from protocol.errors import BadArgument, Fault, NotFound
from protocol.result.table import read_table

from .. import session
from ..editing.parts import check_local
from ..settings import settings, shown_scene
from ..splats.cameras import are_shown, is_camera, look_through, photographs_of, set_hidden
from ..splats.collections import photographed_colours, photographed_in_solid_views, show_as
from ..splats.display import see_through
from ..splats.painting import show_colours
from ..viewport.handler import drawing
from . import importing
from .edit_targets import has_scene
from .reporting import Outcome, reporting


class OfScene:
    """An operator on the scene shown in the list."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return has_scene(cls)


class SPLATLIFT_OT_show_colours(OfScene, bpy.types.Operator):
    """Show all imported objects in these colours"""

    bl_idname = "splatlift.show_colours"
    bl_label = "Show Colours"

    colours: bpy.props.EnumProperty(
        name="Colours",
        items=(
            ("PHOTOGRAPHS", "Photographs", "Colours of the photographs"),
            ("LABELS", "Objects", "One colour per object, or per part at the level of parts"),
            ("CONFIDENCE", "Confidence", "Red for the least certain objects, over yellow, to blue for certain ones"),
        ),
    )

    def execute(self, context: Any) -> Outcome:
        show_colours(self.colours)
        importing.coloured.how = importing.how_shown(shown_scene(context))
        photographed = photographed_in_solid_views(shown_scene(context))
        for shading in [space.shading for space in importing.views()]:
            # A solid view shows only object colours of points; the colours of photographs need the material.
            if self.colours == "PHOTOGRAPHS" and shading.type == "SOLID" and photographed:
                shading.color_type = photographed_colours()
            elif self.colours == "PHOTOGRAPHS" and shading.type == "SOLID":
                shading.type = "MATERIAL"
            if self.colours != "PHOTOGRAPHS" and shading.color_type in ("MATERIAL", "VERTEX"):
                shading.color_type = "OBJECT"
        return {"FINISHED"}


class SPLATLIFT_OT_show_as(OfScene, bpy.types.Operator):
    """Show the Gaussians of the scene this way. Objects imported as meshes are not changed"""

    bl_idname = "splatlift.show_as"
    bl_label = "Show As"

    display: bpy.props.EnumProperty(
        name="Show As",
        items=(
            ("POINTS", "Points", "Each Gaussian as a point; fastest"),
            ("SPLATS", "Splats", "Sorted, blended Gaussians in the colours of the photographs; renders use discs"),
            ("DISCS", "As Rendered", "Gaussians as the discs that EEVEE and Cycles render; slow"),
        ),
    )

    def execute(self, context: Any) -> Outcome:
        scene = shown_scene(context)
        show_as(scene, self.display, settings(context).budget)
        if self.display != "POINTS":
            see_through(context.scene)
            drawing.try_again()
        importing.colour_solid_views(scene)
        return {"FINISHED"}


class SPLATLIFT_OT_add_cameras(OfScene, bpy.types.Operator):
    """Import the cameras of the capture and replace existing ones"""

    bl_idname = "splatlift.add_cameras"
    bl_label = "Add Cameras"

    photographs: bpy.props.StringProperty(
        name="Photographs",
        description="Folder of the capture. If empty, the capture in the panel is used if it matches the scene",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"},
    )
    ask: bpy.props.BoolProperty(
        name="Ask", description="Ask for the folder if the capture in the panel does not match", options={"SKIP_SAVE"}
    )
    # The file dialog sets it.
    directory: bpy.props.StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: Any, event: Any) -> Outcome:
        try:
            source = session.source_of(shown_scene(context))
            known = importing.photographs_of(source, self.photographs, context)
        except Fault as fault:
            self.report({"ERROR"}, str(fault))
            return {"CANCELLED"}
        if known is not None or not self.ask:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    @reporting
    def execute(self, context: Any) -> set[str]:
        scene = shown_scene(context)
        check_local(scene)
        source = session.source_of(scene)
        capture = importing.photographs_of(source, self.photographs or self.directory, context)
        cameras = session.import_cameras(scene, capture)
        found = photographs_of(cameras)
        for space in importing.views():
            # Otherwise every camera shows a line to the scene's placement.
            space.overlay.show_relationship_lines = False
        if capture is None:
            wanted = read_table(source).scene
            self.report({"WARNING"}, f"No photographs found. Choose the folder {wanted!r} under Capture and try again")
        else:
            self.report({"INFO"}, f"{len(cameras.objects)} cameras, {found} with their photograph")
        return {"FINISHED"}


class SPLATLIFT_OT_look_through(OfScene, bpy.types.Operator):
    """Look through this camera of the capture and use its render size"""

    bl_idname = "splatlift.look_through"
    bl_label = "Look Through Camera"

    step: bpy.props.IntProperty(
        name="Step", description="Number of cameras to go forward; 0 for the active camera", options={"SKIP_SAVE"}
    )

    @reporting
    def execute(self, context: Any) -> set[str]:
        cameras = _cameras(context)
        now = context.active_object if context.active_object in cameras else context.scene.camera
        at = (cameras.index(now) + self.step) % len(cameras) if now in cameras else 0
        camera = cameras[at]
        if camera.name not in context.view_layer.objects:
            raise BadArgument(f"The camera {camera.name} is hidden.", "Unhide the collection Cameras in the outliner.")
        look_through(camera, context.scene)
        context.view_layer.objects.active = camera
        for space in importing.views():
            space.region_3d.view_perspective = "CAMERA"
        return {"FINISHED"}


class SPLATLIFT_OT_show_cameras(OfScene, bpy.types.Operator):
    """Show all cameras of the capture in the views, or hide them"""

    bl_idname = "splatlift.show_cameras"
    bl_label = "Show or Hide Cameras"

    @reporting
    def execute(self, context: Any) -> set[str]:
        cameras = _cameras(context)
        set_hidden(cameras, are_shown(cameras))
        return {"FINISHED"}


def _cameras(context: Any) -> list[Any]:
    """Return the cameras of the capture.

    Raises:
        NotFound: if there are none.
    """
    collection = session.cameras_of(shown_scene(context))
    cameras = [each for each in collection.objects if is_camera(each)] if collection else []
    if not cameras:
        raise NotFound("The scene has no cameras of the capture.", "Add the cameras first.")
    return cameras


class SPLATLIFT_OT_use_standard_colours(OfScene, bpy.types.Operator):
    """Set the view transform Standard: renders get the colours of the photographs. AgX and Filmic reduce their \
saturation"""

    bl_idname = "splatlift.use_standard_colours"
    bl_label = "Render Photographed Colours"

    def execute(self, context: Any) -> Outcome:
        context.scene.view_settings.view_transform = "Standard"
        return {"FINISHED"}


CLASSES = (
    SPLATLIFT_OT_show_colours,
    SPLATLIFT_OT_show_as,
    SPLATLIFT_OT_add_cameras,
    SPLATLIFT_OT_look_through,
    SPLATLIFT_OT_show_cameras,
    SPLATLIFT_OT_use_standard_colours,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
