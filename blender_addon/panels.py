"""The side panel in the 3D view. It only draws known state and never accesses network or disk."""

import textwrap
from typing import Any

import bpy

from protocol.errors import Fault
from protocol.job_request import OPTIONS
from protocol.messages import MaskModels

from . import options, session, values
from .client.connection import Connection
from .client.job import Job
from .client.rate import format_duration
from .client.survey import GEOMETRY, PHOTOGRAPHS, Survey
from .drawing import Draws
from .editing.parts import points_of
from .operators.connect import missing_for_server
from .operators.segment import missing_for_segment
from .panels_level import draw_level
from .preferences import PACKAGE, address, pairing, preferences
from .settings import capture_folder, chosen_object, is_listed, settings, shown_scene
from .splats.collections import splat_objects
from .startup import startup_cube
from .timer import Import, timer

CATEGORY = "SplatLift"
CHARACTER = 6.6
"""Mean width of a character of Blender's interface font, in pixels at a scale of 1."""
MARGIN = 44
"""Pixels of a panel's width that are not available for text, at a scale of 1."""
BOX = 24
"""Additional pixels that the box of a job takes."""
WIDE = 240
"""Width from which on a panel shows the counts of objects, in pixels at a scale of 1."""
STAGES = {
    "prepare": "Reading the folder",
    "upload": "Uploading",
    "queued": "Waiting",
    "scene": "Reading the capture",
    "poses": "Computing poses",
    "masks": "Making masks",
    "reconstruct": "Reconstructing",
    "contributions": "Reading the masks",
    "lift": "Finding objects",
    "geometry": "Finding objects",
    "refine": "Sharpening edges",
    "objects": "Collecting objects",
    "write": "Writing",
    "download": "Downloading",
}
"""Titles of stages; an unknown stage of a newer server is shown by its own name."""
FINAL = {"finished": "CHECKMARK", "failed": "ERROR", "cancelled": "X"}
JOBS = 8
"""Most jobs in the list; older ones are only counted."""
PICTURE = 5.0
"""Size of a running job's preview, in interface units."""
LOCAL = {"starting": "Starting the server", "stopping": "Stopping the server"}


class SidePanel(Draws):
    """Base of all panels in the side bar of the 3D view."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = CATEGORY


class ScenePanel(SidePanel):
    """Base of panels that are only there with an imported scene."""

    @classmethod
    def poll(cls, context: Any) -> bool:
        return shown_scene(context) is not None


class SPLATLIFT_PT_server(SidePanel, bpy.types.Panel):
    """Connection to the server."""

    bl_label = "Server"

    def draw_header_preset(self, context: Any) -> None:
        if preferences() is not None:
            self.layout.operator("preferences.addon_show", text="", icon="PREFERENCES", emboss=False).module = PACKAGE

    def draw(self, context: Any) -> None:
        known = timer.known_connection
        row = self.layout.row(align=True)
        if timer.local.state in LOCAL:
            row.label(text=LOCAL[timer.local.state], icon="SORTTIME")
            row.operator("splatlift.stop_server", text="", icon="X")
        elif known is not None and known.state == "connected" and known.server is not None:
            row.label(text=known.server.server, icon="LINKED")
            _draw_end(row)
            _draw_machine(self.layout, context, known)
        elif known is not None and known.wanted:
            row.label(text=f"Connecting to {known.address}", icon="SORTTIME")
            _draw_end(row)
        else:
            row.label(text="Not connected", icon="UNLINKED")
            row.operator("splatlift.connect", text="Connect")
            self.layout.label(text=address(), icon="LOCKED" if pairing() else "BLANK1")
            self.layout.operator("splatlift.start_server", icon="PLAY")
            draw_missing(self.layout, context, missing_for_server())
        for fault in (timer.local.error, known.error if known is not None else None):
            if fault is not None:
                draw_fault(self.layout, context, fault)


def _draw_end(row: Any) -> None:
    """Draw the button that ends a connection; for a local server it also stops the server."""
    if timer.local.state == "running":
        row.operator("splatlift.stop_server", text="Stop")
    else:
        row.operator("splatlift.disconnect", text="", icon="X")


def _draw_machine(layout: Any, context: Any, known: Connection) -> None:
    facts = known.info.facts
    if facts is None:
        return
    if facts.problem:
        draw_text(layout, context, facts.problem, "ERROR")
        return
    kind = "Graphics card" if facts.device == "cuda" else "Processor"
    column = layout.column(align=True)
    column.label(text=f"{kind}: {facts.device_name}", icon="BLANK1")
    if facts.free_bytes:
        gigabytes = f"{facts.free_bytes / 1e9:.0f} of {facts.total_bytes / 1e9:.0f} GB"
        column.label(text=f"{gigabytes} of memory free", icon="BLANK1")


class SPLATLIFT_PT_capture(SidePanel, bpy.types.Panel):
    """Capture, settings and jobs."""

    bl_label = "Capture"

    def draw(self, context: Any) -> None:
        chosen = settings(context)
        column = _property_column(self.layout)
        row = column.row(align=True)
        row.prop(chosen, "folder")
        row.operator_context = "INVOKE_DEFAULT"
        row.operator("splatlift.drop_capture", text="", icon="FILE_MOVIE")
        folder = capture_folder(context)
        timer.notice(folder)
        if folder is not None:
            draw_survey(column, context, timer.surveyed)
        row = column.row()
        row.enabled = options.SOURCE_OPTION in _usable_options(chosen)
        row.prop(chosen, options.SOURCE_OPTION)
        split = column.split(factor=0.4)
        split.enabled = chosen.masks_from != "geometry"
        split.alignment = "RIGHT"
        split.label(text="Method")
        split.menu("SPLATLIFT_MT_method", text=method_title(chosen.method))
        self.layout.operator("splatlift.segment", icon="PLAY")
        draw_missing(self.layout, context, missing_for_segment(context))


class SPLATLIFT_PT_options(SidePanel, bpy.types.Panel):
    """The options of the next job; unused options are greyed out."""

    bl_label = "Quality and Options"
    bl_parent_id = "SPLATLIFT_PT_capture"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        chosen = settings(context)
        known = timer.known_connection
        server = known.server if known is not None else None
        column = _property_column(self.layout)
        usable = _usable_options(chosen)
        for name in options.FURTHER_OPTIONS:
            row = column.row()
            row.enabled = name in usable
            row.prop(chosen, name)
        wanted = {OPTIONS[name].feature for name in options.PANEL_OPTIONS} - {""}
        if server is not None and not wanted <= set(server.features):
            draw_text(self.layout, context, "The server is too old for some options. Update it.", "INFO")


def _usable_options(chosen: Any) -> set[str]:
    known = timer.known_connection
    server = known.server if known is not None else None
    return options.usable(chosen, timer.surveyed, server.features if server is not None else None)


class SPLATLIFT_PT_values(SidePanel, bpy.types.Panel):
    """Settings of the chosen method."""

    bl_label = "Settings"
    bl_parent_id = "SPLATLIFT_PT_capture"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        chosen = settings(context)
        return chosen.masks_from != "geometry" and bool(values.values_of(chosen, chosen_method(chosen)))

    def draw(self, context: Any) -> None:
        column = _property_column(self.layout)
        for value in values.values_of(settings(context), chosen_method(settings(context))):
            row = column.row(align=True)
            if value.kind == "CHOICE":
                split = row.split(factor=0.4)
                split.alignment = "RIGHT"
                split.label(text=value.title)
                split.context_pointer_set("splatlift_value", value)
                split.menu("SPLATLIFT_MT_choice", text=value.text)
            else:
                row.alert = not values.is_inside(value)
                row.prop(value, values.FIELDS[value.kind], text=value.title)
            reset = row.operator(
                "splatlift.reset_value",
                text="",
                icon="DOT" if values.is_default(value) else "LOOP_BACK",
                emboss=False,
            )
            reset.method, reset.setting = value.method, value.name


class SPLATLIFT_PT_jobs(SidePanel, bpy.types.Panel):
    """Captures sent to the server."""

    bl_label = "Sent Captures"
    bl_parent_id = "SPLATLIFT_PT_capture"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return bool(timer.jobs)

    def draw(self, context: Any) -> None:
        jobs = timer.jobs
        for job in reversed(jobs[-JOBS:]):
            draw_job(self.layout, context, job)
        if len(jobs) > JOBS:
            self.layout.label(text=f"{len(jobs) - JOBS} older captures")


class SPLATLIFT_PT_objects(SidePanel, bpy.types.Panel):
    """Import, objects and export."""

    bl_label = "Objects"

    def draw(self, context: Any) -> None:
        chosen = settings(context)
        draw_import(self.layout, context)
        shown = shown_scene(context)
        if shown is None:
            self.layout.label(text="No result imported", icon="INFO")
            return
        if startup_cube(context) is not None:
            self.layout.operator("splatlift.delete_startup_cube", icon="TRASH")
        self.layout.menu("SPLATLIFT_MT_scene", text=shown.name, icon="OUTLINER_COLLECTION")
        if shown not in context.scene.collection.children_recursive:
            elsewhere = [each.name for each in bpy.data.scenes if shown in each.collection.children_recursive]
            draw_text(self.layout, context, f"It is in another Blender scene: {', '.join(elsewhere)}", "INFO")
        self.layout.template_list("SPLATLIFT_UL_objects", "", shown, "children", chosen, "row", rows=4)
        draw_level(self.layout, context, shown)
        part = chosen_object(context)
        if part is not None and context.mode != "OBJECT" and context.objects_in_mode[0].name not in part.all_objects:
            draw_text(self.layout, context, "Rows select objects in Object Mode only", "INFO")
        row = self.layout.row(align=True)
        one = row.row(align=True)
        one.enabled = part is not None
        one.operator("splatlift.export", text="Export Object", icon="EXPORT").what = "OBJECT"
        row.operator("splatlift.export", text="Scene").what = "SCENE"


class SPLATLIFT_UL_objects(bpy.types.UIList):
    """One row per object: colour, name, count, select, hide."""

    def draw_item(
        self,
        context: Any,
        layout: Any,
        data: Any,
        item: Any,
        icon: Any,
        active_data: Any,
        active_property: Any,
        index: Any,
        flt_flag: Any,
    ) -> None:
        known = item.splatlift
        row = layout.row(align=True)
        swatch = row.row()
        swatch.ui_units_x = 0.8
        swatch.prop(known, "colour", text="")
        row.prop(item, "name", text="", emboss=False)
        if width_of(context) >= WIDE:  # a narrow panel has room for the name alone
            count = row.row()
            count.alignment = "RIGHT"
            count.label(text=short(sum(points_of(thing) for thing in splat_objects(item))))
        button = row.operator("splatlift.select_object", text="", icon="RESTRICT_SELECT_OFF", emboss=False)
        button.object_id, button.collection = known.object_id, item.name
        row.prop(item, "hide_viewport", text="", emboss=False)

    def filter_items(self, context: Any, data: Any, property: Any) -> Any:
        """Show SplatLift's collections that match the search, in order of label, the background last."""
        children = list(getattr(data, property))
        wanted = self.filter_name.lower()
        ours = [wanted in each.name.lower() and is_listed(each) for each in children]
        by_label = sorted(range(len(children)), key=lambda n: (children[n].splatlift.label or 1 << 30, n))
        places = [0] * len(children)
        for place, n in enumerate(by_label):
            places[n] = place
        return [self.bitflag_filter_item if each else 0 for each in ours], places


class SPLATLIFT_MT_method(Draws, bpy.types.Menu):
    """Methods of the server."""

    bl_label = "Method"

    def draw(self, context: Any) -> None:
        _choice(self.layout, "scene.splatlift.method", "", "Best")
        known = timer.known_connection
        for method in known.server.methods if known and known.server else ():
            _choice(self.layout, "scene.splatlift.method", method.name, method.title)


class SPLATLIFT_MT_choice(Draws, bpy.types.Menu):
    """Values of the setting."""

    bl_label = "Value"

    def draw(self, context: Any) -> None:
        value = context.splatlift_value
        for choice in value.choices.split("\n"):
            button = self.layout.operator("splatlift.choose_value", text=choice)
            button.method, button.setting, button.choice = value.method, value.name, choice


class SPLATLIFT_MT_scene(Draws, bpy.types.Menu):
    """The imported scenes."""

    bl_label = "Scene"

    def draw(self, context: Any) -> None:
        for each in session.scenes():
            _choice(self.layout, "scene.splatlift.scene_id", each.splatlift.scene_id, each.name)


def _property_column(layout: Any) -> Any:
    """Return a new column that shows properties with their names at the left, without buttons for key frames."""
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    return column


def _choice(layout: Any, path: str, value: str, title: str) -> None:
    button = layout.operator("wm.context_set_string", text=title)
    button.data_path = path
    button.value = value


def method_title(name: str) -> str:
    known = timer.known_connection
    titles = {method.name: method.title for method in known.server.methods} if known and known.server else {}
    return titles.get(name, name or "Best")


def chosen_method(chosen: Any) -> str:
    """Return the name of the chosen method; for the automatic choice, the first method of the server."""
    known = timer.known_connection
    offered = known.server.methods if known and known.server else ()
    return chosen.method or (offered[0].name if offered else "")


def draw_survey(layout: Any, context: Any, found: Survey | Fault | None) -> None:
    """Draw the survey of the chosen folder."""
    if found is None:
        layout.label(text="Reading the folder", icon="SORTTIME")
        return
    if isinstance(found, Fault):
        draw_fault(layout, context, found)
        return
    column = layout.column(align=True)
    if found.layout not in (None, PHOTOGRAPHS):
        column.label(text=found.layout, icon="CHECKMARK" if found.problem is None else "ERROR")
    known = timer.known_connection
    models = known.info.masks if known and known.server else None
    lines, hint = plan_of(found, settings(context), models)
    for text, icon in lines:
        column.label(text=text, icon=icon)
    if hint:
        draw_text(column, context, hint, "INFO")
    files = "1 file" if found.files == 1 else f"{found.files} files"
    column.label(text=f"{files}, {found.bytes / 1e6:.0f} MB", icon="FILE_FOLDER")
    if found.splats is not None and found.poses_from == "cameras":
        column.prop(settings(context), "use_splats", text=f"Use {found.splats}")
    for warning in found.warnings:
        draw_text(column, context, warning, "INFO")
    if found.above is not None:
        draw_text(column, context, f"Cameras of these photographs are in {found.above.name}.", "INFO")
        _choice(column, "scene.splatlift.folder", str(found.above), f"Choose {found.above.name}")
    if found.problem is not None:
        draw_fault(layout, context, found.problem)


def plan_of(found: Survey, chosen: Any, models: MaskModels | None) -> tuple[list[tuple[str, str]], str]:
    """Return what was found and what will be computed, each as a text and an icon, and how to get a model for masks.

    Args:
        found: the survey of the folder.
        chosen: the scene's ``splatlift``.
        models: the server's models for masks; None if unknown.
    """
    lines = []
    if found.photographs:
        lines.append((f"{found.photographs} photographs", "IMAGE_DATA"))
    if found.poses_from != "cameras" and found.poses_from is not None:
        lines.append(("Poses will be computed", "CAMERA_DATA"))
    if found.masks:
        masks = "1 mask" if found.masks == 1 else f"{found.masks} masks"
        lines.append((f"{masks} in {found.mask_folder}", "MOD_MASK"))
    elif found.strays:
        strays = "1 mask file matches" if found.strays == 1 else f"{found.strays} mask files match"
        lines.append((f"{strays} no photograph", "ERROR"))
    if found.masks_from != GEOMETRY:
        return lines, ""
    if found.poses_from is None or chosen.masks_from == "geometry":
        return [*lines, ("No masks: found by geometry", "MESH_DATA")], ""
    text, hint = _without_masks(chosen.masks_model, models)
    return [*lines, (text, "MESH_DATA")], hint


def _without_masks(wanted: str, models: MaskModels | None) -> tuple[str, str]:
    """Return how the server finds objects without masks, and how to get a model if it has none.

    Args:
        wanted: the name of the chosen model; empty for the server's default.
        models: as for :func:`plan_of`.
    """
    if models is None:
        return "No masks: by a model, or geometry", ""
    if not models.installed:
        without = "The server cannot run mask models. Run pip install 'splatlift[masks]' there."
        return ("No masks: the model cannot run" if wanted else "No masks: found by geometry"), without
    named = [model for model in models.models if model.name == wanted]
    if wanted and not named:
        return f"No masks: made by {wanted}", ""
    model = named[0] if named else models.default()
    if model is not None and model.is_here:
        return f"No masks: made by {model.title}", ""
    if not models.models:
        return "No masks: found by geometry", ""
    offered = model or models.models[0]
    hint = (
        f"{offered.title} is not on the server. Run backend masks SCENE --model {offered.name} there once to download "
        f"{offered.bytes / 1e6:,.0f} MB."
    )
    return ("No masks: the model is missing" if wanted else "No masks: found by geometry"), hint


def draw_job(layout: Any, context: Any, job: Job) -> None:
    """Draw a job's progress, its error if it failed, or the next step if it is finished."""
    box = layout.box().column(align=True)
    if job.final:
        row = box.row(align=True)
        row.label(text=job.title if job.folder is not None else f"{job.title}: {job.state}", icon=FINAL[job.state])
        if job.folder is not None:
            row.operator_context = "INVOKE_DEFAULT"
            row.operator("splatlift.import_result", text="Import", icon="IMPORT").directory = str(job.folder)
        row.operator("splatlift.forget", text="", icon="X", emboss=False).job = job.id
    else:
        box.label(text=job.title)
        row = box.row(align=True)
        row.progress(text=f"{stage_of(job)} {job.fraction:.0%}", factor=job.fraction)
        row.operator("splatlift.cancel", text="", icon="X").job = job.id
        for line in details_of(job):
            box.label(text=line)
        if icon := timer.pictures.icon(job.id):
            box.template_icon(icon_value=icon, scale=PICTURE)
    for warning in job.warnings:
        draw_text(box, context, warning, "INFO", BOX)
    if job.left_out:
        draw_text(box, context, f"{job.left_out} links to files outside the folder were not sent.", "INFO", BOX)
    if job.error is not None:
        draw_text(box, context, job.error.sentence, "BLANK1", BOX)
        draw_text(box, context, job.error.remedy, "INFO", BOX)


def stage_of(job: Job) -> str:
    """Return a job's stage as text."""
    if job.state == "cancelling":
        return "Cancelling"
    return "Waiting for the server" if _is_cut_off(job) else STAGES.get(job.stage, job.stage)


def details_of(job: Job) -> list[str]:
    """Return further lines about a job's stage: amount, speed, remaining time."""
    lines = [job.note] if job.note else []
    if _is_cut_off(job):
        return lines
    if job.state == "queued" and job.ahead:
        lines.append(f"{job.ahead} of your captures ahead in the queue")
    parts = [f"{job.speed / 1e6:.0f} MB/s"] if job.speed else []
    parts += [f"{format_duration(job.left)} left"] if job.left is not None else []
    return [*lines, ", ".join(parts)] if parts else lines


def _is_cut_off(job: Job) -> bool:
    """Whether a job is on the server, or in transfer, but there is no connection."""
    known = timer.known_connection
    return job.state not in ("preparing", "cancelling") and (known is None or known.state != "connected")


def draw_import(layout: Any, context: Any) -> None:
    """Draw the running import, or the results that can be imported."""
    if timer.importing is not None:
        _draw_importing(layout, timer.importing)
        return
    column = _property_column(layout)
    for name in ("display", "up", "scale", "origin"):
        column.prop(settings(context), name)
    row = layout.row(align=True)
    row.operator_context = "INVOKE_DEFAULT"
    done = [job for job in timer.jobs if job.folder is not None]
    if done:
        row.operator("splatlift.import_result", text="Import Result", icon="IMPORT").directory = str(done[-1].folder)
        row.operator("splatlift.import_result", text="", icon="FILE_FOLDER")
    else:
        row.operator("splatlift.import_result", text="Import Folder...", icon="FILE_FOLDER")
    if timer.error is not None:
        draw_fault(layout, context, timer.error)


def _draw_importing(layout: Any, importing: Import) -> None:
    row = layout.row(align=True)
    row.progress(text=f"Importing {importing.fraction:.0%}", factor=importing.fraction)
    row.operator("splatlift.stop_import", text="", icon="X")
    layout.label(text=importing.note)


def draw_fault(layout: Any, context: Any, fault: Fault) -> None:
    """Draw an error and its remedy."""
    box = layout.box().column(align=True)
    draw_text(box, context, fault.sentence, "ERROR")
    if fault.remedy:
        draw_text(box, context, fault.remedy, "BLANK1")


def draw_missing(layout: Any, context: Any, sentence: str) -> None:
    """Draw why the button above is grey, unless the sentence is empty."""
    if sentence:
        draw_text(layout, context, sentence, "INFO")


def draw_text(layout: Any, context: Any, text: str, icon: str, margin: int = 0) -> None:
    """Draw text wrapped to the panel's width, with an icon before the first line.

    Args:
        margin: additional pixels that are not available for text, at a scale of 1.
    """
    room = width_of(context) - MARGIN - 20 - margin
    width = max(12, int(room / CHARACTER))
    # A line that ends within a command's --option could not be typed again.
    for n, line in enumerate(textwrap.wrap(text, width, break_on_hyphens=False)):
        layout.label(text=line, icon="BLANK1" if n and icon != "NONE" else icon)


def width_of(context: Any) -> float:
    """Return the width of the panel in pixels at a scale of 1."""
    return (context.region.width if context.region else 300) / (context.preferences.system.ui_scale or 1.0)


def short(count: int) -> str:
    """Return a count in short form: 999, 12.3k, 1.2M."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 999_950 else f"{count / 1e6:.1f}M"


CLASSES = (
    SPLATLIFT_UL_objects,
    SPLATLIFT_MT_method,
    SPLATLIFT_MT_choice,
    SPLATLIFT_MT_scene,
    SPLATLIFT_PT_server,
    SPLATLIFT_PT_capture,
    SPLATLIFT_PT_options,
    SPLATLIFT_PT_values,
    SPLATLIFT_PT_jobs,
    SPLATLIFT_PT_objects,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
