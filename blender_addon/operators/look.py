"""Display of imported objects: colours, points or ellipsoids, and the cameras of the capture."""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of an operator from its annotations.

from pathlib import Path
from typing import Any

import bpy

from protocol.errors import BadArgument, NotFound
from protocol.result.table import read_table

from .. import session
from ..settings import settings, shown_scene
from ..splats.cameras import is_camera, look_through, photographs_of
from ..splats.collections import drawn_by_blender, show_as
from ..splats.display import show_labels
from . import importing
from .reporting import Outcome, reporting


class _OfScene:
    """An operator on the scene shown in the list."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        if shown_scene(context) is None:
            cls.poll_message_set("Import a result first")  # pyright: ignore[reportAttributeAccessIssue]
            return False
        return True


class SPLATLIFT_OT_show_colours(_OfScene, bpy.types.Operator):
    """Show all imported objects in these colours"""

    bl_idname = "splatlift.show_colours"
    bl_label = "Show Colours"

    colours: bpy.props.EnumProperty(
        name="Colours",
        items=(
            ("PHOTOGRAPHS", "Photographs", "Colours of the photographs"),
            ("LABELS", "Objects", "One colour per object"),
        ),
    )

    def execute(self, context: Any) -> Outcome:
        show_labels(self.colours == "LABELS")
        native = drawn_by_blender(shown_scene(context))
        for shading in _shadings(context):
            # A solid view shows only object colours, except for Blender's native Gaussians; the colours of photographs
            # need
            # the material.
            if self.colours == "PHOTOGRAPHS" and shading.type == "SOLID" and native:
                shading.color_type = "MATERIAL"
            elif self.colours == "PHOTOGRAPHS" and shading.type == "SOLID":
                shading.type = "MATERIAL"
            if self.colours == "LABELS" and shading.color_type == "MATERIAL":
                shading.color_type = "OBJECT"
        return {"FINISHED"}


class SPLATLIFT_OT_show_as(_OfScene, bpy.types.Operator):
    """Show the Gaussians of the scene this way. Objects imported as meshes are not changed"""

    bl_idname = "splatlift.show_as"
    bl_label = "Show As"

    display: bpy.props.EnumProperty(
        name="Show As",
        items=(
            ("POINTS", "Points", "Each Gaussian as a point; fastest"),
            ("SPLATS", "Splats", "Gaussians as ellipsoids, or as native Gaussians if this Blender supports them"),
        ),
    )

    def execute(self, context: Any) -> Outcome:
        show_as(shown_scene(context), self.display, settings(context).budget)
        return {"FINISHED"}


class SPLATLIFT_OT_add_cameras(_OfScene, bpy.types.Operator):
    """Import the cameras of the capture and replace existing ones"""

    bl_idname = "splatlift.add_cameras"
    bl_label = "Add Cameras"

    photographs: bpy.props.StringProperty(
        name="Photographs",
        description="Folder of the capture. If empty, the capture in the panel is used if it matches the scene",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"},
    )

    @reporting
    def execute(self, context: Any) -> set[str]:
        scene = shown_scene(context)
        source = Path(scene.splatlift.source)
        capture = importing.photographs_of(source, self.photographs, context)
        cameras = session.import_cameras(scene, capture)
        found = photographs_of(cameras)
        for space in _spaces(context):
            # Otherwise every camera shows a line to the scene's placement.
            space.overlay.show_relationship_lines = False
        if capture is None:
            wanted = read_table(source).scene
            self.report({"WARNING"}, f"No photographs found. Choose the folder {wanted!r} under Capture and try again")
        else:
            self.report({"INFO"}, f"{len(cameras.objects)} cameras, {found} with their photograph")
        return {"FINISHED"}


class SPLATLIFT_OT_look_through(_OfScene, bpy.types.Operator):
    """Look through this camera of the capture and use its render size"""

    bl_idname = "splatlift.look_through"
    bl_label = "Look Through Camera"

    step: bpy.props.IntProperty(
        name="Step", description="Number of cameras to go forward; 0 for the active camera", options={"SKIP_SAVE"}
    )

    @reporting
    def execute(self, context: Any) -> set[str]:
        collection = session.cameras_of(shown_scene(context))
        cameras = [each for each in collection.objects if is_camera(each)] if collection else []
        if not cameras:
            raise NotFound("The scene has no cameras of the capture.", "Add the cameras first.")
        now = context.active_object if context.active_object in cameras else context.scene.camera
        at = (cameras.index(now) + self.step) % len(cameras) if now in cameras else 0
        camera = cameras[at]
        if camera.name not in context.view_layer.objects:
            raise BadArgument(f"The camera {camera.name} is hidden.", "Unhide the collection Cameras in the outliner.")
        look_through(camera, context.scene)
        context.view_layer.objects.active = camera
        for space in _spaces(context):
            space.region_3d.view_perspective = "CAMERA"
        return {"FINISHED"}


def _spaces(context: Any) -> list[Any]:
    areas = [area for window in context.window_manager.windows for area in window.screen.areas]
    return [area.spaces.active for area in areas if area.type == "VIEW_3D"]


def _shadings(context: Any) -> list[Any]:
    return [space.shading for space in _spaces(context)]


CLASSES = (SPLATLIFT_OT_show_colours, SPLATLIFT_OT_show_as, SPLATLIFT_OT_add_cameras, SPLATLIFT_OT_look_through)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
