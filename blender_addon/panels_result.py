"""The panels below the list of objects: display, and further exports."""

from typing import Any

import bpy

from . import session
from .panels import ScenePanel, draw_text
from .settings import settings, shown_scene
from .splats.cameras import are_shown, is_camera, photographs_of
from .splats.collections import drawn_by_blender, has_discs, shown_as
from .splats.colours import confidence_shown, labels_shown
from .viewport.handler import drawing

DULL = ("AgX", "Filmic")
"""View transforms that reduce the saturation of renders; AgX is Blender's default."""


class _Below(ScenePanel):
    bl_parent_id = "SPLATLIFT_PT_objects"


class SPLATLIFT_PT_look(_Below, bpy.types.Panel):
    """Colours, display and cameras."""

    bl_label = "View"

    def draw(self, context: Any) -> None:
        layout = self.layout
        seen = colours_seen(context)
        row = layout.row(align=True)
        for colours, text in (("PHOTOGRAPHS", "Photographs"), ("LABELS", "Objects"), ("CONFIDENCE", "Confidence")):
            row.operator("splatlift.show_colours", text=text, depress=seen == colours).colours = colours
        if seen == "CONFIDENCE":
            layout.label(text="Red: at most 50 % certain, blue: 100 %")
        row = layout.row(align=True)
        scene = shown_scene(context)
        display, share = shown_as(scene)
        row.operator("splatlift.show_as", text="Points", depress=display == "POINTS").display = "POINTS"
        row.operator("splatlift.show_as", text="Splats", depress=display == "SPLATS").display = "SPLATS"
        row.operator("splatlift.show_as", text="As Rendered", depress=display == "DISCS").display = "DISCS"
        if display == "SPLATS" and not drawn_by_blender(scene):
            layout.prop(settings(context), "view_dependent")
            for sentence in filter(None, (drawing.failure, *drawing.refused)):
                draw_text(layout, context, sentence, "ERROR")
        if has_discs(scene):
            row = layout.row(align=True)
            row.prop(settings(context), "budget")
            row.operator("splatlift.show_as", text="", icon="FILE_REFRESH").display = "DISCS"
        if share < 1:
            layout.label(text=f"{share:.0%} of them are drawn", icon="INFO")
        if context.scene.view_settings.view_transform in DULL:
            layout.operator("splatlift.use_standard_colours", icon="COLOR")
        background = session.background_of(scene)
        if background is not None:
            layout.prop(background, "hide_viewport", text="Hide Background", toggle=1)
        row = layout.row(align=True)
        row.operator_context = "INVOKE_DEFAULT"
        row.operator("splatlift.set_real_distance", text="Real Distance...", icon="DRIVER_DISTANCE")
        measuring = settings(context).is_measuring
        row.operator("splatlift.start_measuring", text="", icon="PIVOT_CURSOR", depress=measuring)
        cameras = session.cameras_of(scene)
        if cameras is None:
            layout.operator("splatlift.add_cameras", icon="OUTLINER_OB_CAMERA")
            return
        row = layout.row(align=True)
        row.operator("splatlift.look_through", text="", icon="TRIA_LEFT").step = -1
        row.operator("splatlift.look_through", text="Look Through", icon="OUTLINER_OB_CAMERA").step = 0
        row.operator("splatlift.look_through", text="", icon="TRIA_RIGHT").step = 1
        row.operator("splatlift.show_cameras", text="", icon="HIDE_OFF" if are_shown(cameras.objects) else "HIDE_ON")
        count, found = sum(map(is_camera, cameras.objects)), photographs_of(cameras)
        draw_text(layout, context, f"{count} cameras, {found or 'none'} with a photograph", "NONE")
        if found < count:
            row = layout.row()
            row.operator_context = "INVOKE_DEFAULT"
            row.operator("splatlift.add_cameras", text="Find Photographs...").ask = True


def colours_seen(context: Any) -> str:
    """Return the colours that this view shows; a solid view shows object colours or none at all."""
    shading = getattr(context.space_data, "shading", None)
    if shading is not None and shading.type == "SOLID":
        by_label = shading.color_type == "OBJECT"
    else:
        by_label = labels_shown()
    if not by_label:
        return "PHOTOGRAPHS"
    return "CONFIDENCE" if confidence_shown() else "LABELS"


class SPLATLIFT_PT_export(_Below, bpy.types.Panel):
    """Further export options."""

    bl_label = "More to Export"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        column = self.layout.column(align=True)
        column.operator("splatlift.export", text="Selected Objects", icon="EXPORT").what = "SELECTED"
        bare = column.operator("splatlift.export", text="Scene without Background")
        bare.what, bare.background = "SCENE", False
        column = self.layout.column(align=True)
        column.operator("splatlift.export_mesh", text="Object as Mesh", icon="MESH_DATA").what = "OBJECT"
        column.operator("splatlift.export_mesh", text="Scene as Mesh").what = "SCENE"


CLASSES = (SPLATLIFT_PT_look, SPLATLIFT_PT_export)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
