"""The side panel in the 3D view. It reads what is known and draws it; it asks neither network nor disk."""

import textwrap
from typing import Any

import bpy

from protocol.errors import Fault

from . import session
from .job import Job
from .preferences import address, preferences
from .pump import Import, pump
from .settings import chosen_object, settings, shown_scene

CATEGORY = "SplatLift"
CHARACTER = 6.6
"""Mean width of a character of Blender's interface font, in pixels at a scale of 1."""
MARGIN = 44
"""Pixels of a panel's width that no text can take, at a scale of 1."""
STAGES = {
    "prepare": "Looking at the files",
    "upload": "Sending",
    "queued": "Waiting",
    "scene": "Reading the capture",
    "reconstruct": "Building the scene",
    "contributions": "Reading the masks",
    "lift": "Finding objects",
    "objects": "Gathering objects",
    "write": "Writing",
    "download": "Fetching",
}
"""Stages in words for people; a stage that a newer server has is shown by its own name."""
FINAL = {"finished": "CHECKMARK", "failed": "ERROR", "cancelled": "X"}


class _SidePanel:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = CATEGORY
    layout: Any


class SPLATLIFT_PT_server(_SidePanel, bpy.types.Panel):
    """The connection: its state, and the one button that is of use."""

    bl_label = "Server"

    def draw(self, context: Any) -> None:
        known = pump.known_connection
        state = known.state if known else "disconnected"
        wanted = known is not None and known.wanted
        if state == "connected" and known is not None and known.server is not None:
            row = self.layout.row()
            row.label(text=f"{known.server.server} ({known.server.device})", icon="LINKED")
            row.operator("splatlift.disconnect", text="", icon="X")
        elif wanted and known is not None:
            row = self.layout.row()
            row.label(text=f"Calling {known.address}", icon="SORTTIME")
            row.operator("splatlift.disconnect", text="", icon="X")
        else:
            column = self.layout.column(align=True)
            if stored := preferences():
                column.prop(stored, "address", text="")
            else:
                column.label(text=address(), icon="UNLINKED")
            column.operator("splatlift.connect", text="Connect")
        if known is not None and known.error is not None:
            draw_fault(self.layout, context, known.error)


class SPLATLIFT_PT_capture(_SidePanel, bpy.types.Panel):
    """The capture, how it is to be segmented, and how far that is."""

    bl_label = "Capture"

    def draw(self, context: Any) -> None:
        chosen = settings(context)
        column = self.layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(chosen, "folder")
        split = column.split(factor=0.4)
        split.alignment = "RIGHT"
        split.label(text="Method")
        split.menu("SPLATLIFT_MT_method", text=method_title(chosen.method))
        self.layout.operator("splatlift.segment", icon="PLAY")
        if pump.job is not None:
            draw_job(self.layout, context, pump.job)


class SPLATLIFT_PT_objects(_SidePanel, bpy.types.Panel):
    """Results: import, the objects, export."""

    bl_label = "Objects"

    def draw(self, context: Any) -> None:
        chosen = settings(context)
        draw_import(self.layout, context)
        shown = shown_scene(context)
        if shown is None:
            self.layout.label(text="Nothing is imported yet", icon="INFO")
            return
        self.layout.menu("SPLATLIFT_MT_scene", text=shown.name, icon="OUTLINER_COLLECTION")
        self.layout.template_list("SPLATLIFT_UL_objects", "", shown, "children", chosen, "row", rows=6)
        part = chosen_object(context)
        row = self.layout.row(align=True)
        one = row.row(align=True)
        one.enabled = part is not None
        one.operator("splatlift.export", text="Export Object", icon="EXPORT").what = "OBJECT"
        row.operator("splatlift.export", text="Scene").what = "SCENE"


class SPLATLIFT_UL_objects(bpy.types.UIList):
    """One row an object: colour, name, count, select, hide."""

    def draw_item(
        self, context: Any, layout: Any, data: Any, item: Any, icon: int, active_data: Any, active_property: str
    ) -> None:
        known = item.splatlift
        row = layout.row(align=True)
        swatch = row.row()
        swatch.ui_units_x = 0.8
        swatch.enabled = False
        swatch.prop(known, "colour", text="")
        row.prop(item, "name", text="", emboss=False)
        count = row.row()
        count.alignment = "RIGHT"
        count.label(text=short(known.count))
        row.operator(
            "splatlift.select_object", text="", icon="RESTRICT_SELECT_OFF", emboss=False
        ).object_id = known.object_id
        row.prop(item, "hide_viewport", text="", emboss=False)

    def filter_items(self, context: Any, data: Any, property: str) -> tuple[list[int], list[int]]:
        """Show what SplatLift made and the search matches, in order of label, the background last."""
        children = list(getattr(data, property))
        wanted = self.filter_name.lower()
        ours = [each.splatlift.kind in ("OBJECT", "BACKGROUND") and wanted in each.name.lower() for each in children]
        by_label = sorted(range(len(children)), key=lambda n: (children[n].splatlift.label or 1 << 30, n))
        places = [0] * len(children)
        for place, n in enumerate(by_label):
            places[n] = place
        return [self.bitflag_filter_item if each else 0 for each in ours], places


class SPLATLIFT_MT_method(bpy.types.Menu):
    """The methods that the server offers."""

    bl_label = "Method"

    def draw(self, context: Any) -> None:
        _choice(self.layout, "scene.splatlift.method", "", "Best")
        known = pump.known_connection
        for method in known.server.methods if known and known.server else ():
            _choice(self.layout, "scene.splatlift.method", method.name, method.title)


class SPLATLIFT_MT_scene(bpy.types.Menu):
    """The imported scenes."""

    bl_label = "Scene"

    def draw(self, context: Any) -> None:
        for each in session.scenes():
            _choice(self.layout, "scene.splatlift.scene_id", each.splatlift.scene_id, each.name)


def _choice(layout: Any, path: str, value: str, title: str) -> None:
    button = layout.operator("wm.context_set_string", text=title)
    button.data_path = path
    button.value = value


def method_title(name: str) -> str:
    known = pump.known_connection
    titles = {method.name: method.title for method in known.server.methods} if known and known.server else {}
    return titles.get(name, name or "Best")


def draw_job(layout: Any, context: Any, job: Job) -> None:
    """Draw how far a job is; where it failed, why; where it is finished, the way on."""
    if job.final:
        row = layout.row()
        row.label(text=f"{job.title}: {job.state}", icon=FINAL[job.state])
    else:
        row = layout.row(align=True)
        stage = "Cancelling" if job.state == "cancelling" else STAGES.get(job.stage, job.stage)
        row.progress(text=f"{stage} {job.fraction:.0%}", factor=job.fraction)
        row.operator("splatlift.cancel", text="", icon="X")
        if job.note:
            layout.label(text=job.note)
    if job.left_out:
        draw_text(layout, context, f"{job.left_out} links out of the folder were not sent.", "INFO")
    if job.error is not None:
        draw_fault(layout, context, job.error)


def draw_import(layout: Any, context: Any) -> None:
    """Draw the import under way, or what can be imported."""
    if pump.importing is not None:
        _draw_importing(layout, pump.importing)
        return
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    column.prop(settings(context), "display")
    row = layout.row(align=True)
    row.operator_context = "INVOKE_DEFAULT"
    if pump.job is not None and pump.job.folder is not None:
        row.operator("splatlift.import_result", text="Import Result", icon="IMPORT").directory = str(pump.job.folder)
        row.operator("splatlift.import_result", text="", icon="FILE_FOLDER")
    else:
        row.operator("splatlift.import_result", text="Import Folder...", icon="FILE_FOLDER")
    if pump.error is not None:
        draw_fault(layout, context, pump.error)


def _draw_importing(layout: Any, importing: Import) -> None:
    row = layout.row(align=True)
    row.progress(text=f"import {importing.fraction:.0%}", factor=importing.fraction)
    row.operator("splatlift.stop_import", text="", icon="X")
    layout.label(text=importing.note)


def draw_fault(layout: Any, context: Any, fault: Fault) -> None:
    """Draw what is wrong and what can be done about it."""
    box = layout.box().column(align=True)
    draw_text(box, context, fault.sentence, "ERROR")
    if fault.remedy:
        draw_text(box, context, fault.remedy, "BLANK1")


def draw_text(layout: Any, context: Any, text: str, icon: str) -> None:
    """Draw text over as many lines as the panel's width asks for, with an icon before the first."""
    scale = context.preferences.system.ui_scale or 1.0
    room = (context.region.width if context.region else 300) / scale - MARGIN - 20
    for n, line in enumerate(textwrap.wrap(text, max(12, int(room / CHARACTER)))):
        layout.label(text=line, icon="BLANK1" if n else icon)


def short(count: int) -> str:
    """Return a count in few characters: 999, 12.3k, 1.2M."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 999_950 else f"{count / 1e6:.1f}M"


CLASSES = (
    SPLATLIFT_UL_objects,
    SPLATLIFT_MT_method,
    SPLATLIFT_MT_scene,
    SPLATLIFT_PT_server,
    SPLATLIFT_PT_capture,
    SPLATLIFT_PT_objects,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
