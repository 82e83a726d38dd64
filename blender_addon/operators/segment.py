"""Segment the chosen capture on the server, cancel jobs, and edit the settings of the method."""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of an operator from its annotations.

from pathlib import Path
from typing import Any

import bpy

from protocol.endings import HEIF_ENDINGS, PHOTOGRAPH_ENDINGS, SPLAT_ENDINGS, VIDEO_ENDINGS
from protocol.errors import BadArgument, NotFound
from protocol.job_request import JobRequest

from .. import options, values
from ..client.job import Job
from ..client.survey import Survey, scene_of
from ..settings import capture_folder, settings
from ..timer import redraw_panels, timer
from .reporting import Outcome, is_ready, reporting

DROPPED = (*PHOTOGRAPH_ENDINGS, *HEIF_ENDINGS, *VIDEO_ENDINGS, *SPLAT_ENDINGS, ".json", ".bin", ".txt")
"""Endings of files that can belong to a capture."""


class SPLATLIFT_OT_segment(bpy.types.Operator):
    """Send the capture to the server and segment it into objects. Several captures are queued"""

    bl_idname = "splatlift.segment"
    bl_label = "Segment"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return is_ready(cls, missing_for_segment(context))

    @reporting
    def execute(self, context: Any) -> set[str]:
        folder = capture_folder(context)
        if folder is None or not folder.exists():
            raise BadArgument(
                f"The folder {folder} does not exist.", "Choose the folder that contains the photographs."
            )
        job = timer.job_list.submit(folder, request_of(settings(context), folder))
        timer.start()
        if bpy.app.background:
            job.result()
            timer.settle()
        return {"FINISHED"}


def missing_for_segment(context: Any) -> str:
    """Return what is missing to segment a capture; empty if nothing is."""
    known = timer.known_connection
    if known is None or known.state != "connected":
        return "Connect to a server first."
    return "" if settings(context).folder else "Choose the folder of a capture first."


class SPLATLIFT_OT_cancel(bpy.types.Operator):
    """Cancel this capture here and on the server"""

    bl_idname = "splatlift.cancel"
    bl_label = "Cancel"
    bl_options = {"INTERNAL"}

    job: bpy.props.StringProperty(name="Job", description="Id of the job; default: the newest", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: Any) -> bool:
        return any(not job.final for job in timer.jobs)

    @reporting
    def execute(self, context: Any) -> set[str]:
        _job(self.job).cancel()
        timer.start()
        return {"FINISHED"}


class SPLATLIFT_OT_forget(bpy.types.Operator):
    """Remove this capture from the list. Imported objects are kept"""

    bl_idname = "splatlift.forget"
    bl_label = "Remove from List"
    bl_options = {"INTERNAL"}

    job: bpy.props.StringProperty(name="Job", description="Id of the job; default: the newest", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: Any) -> bool:
        return any(job.final for job in timer.jobs)

    @reporting
    def execute(self, context: Any) -> set[str]:
        timer.job_list.forget(_job(self.job))
        timer.start()
        return {"FINISHED"}


class SPLATLIFT_OT_drop_capture(bpy.types.Operator):
    """Choose a video, a splat file, or any file of a capture"""

    bl_idname = "splatlift.drop_capture"
    bl_label = "Choose Capture"
    bl_options = {"REGISTER", "UNDO"}

    filepath: bpy.props.StringProperty(name="File", subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: bpy.props.StringProperty(default=";".join(f"*{ending}" for ending in DROPPED), options={"HIDDEN"})

    def invoke(self, context: Any, event: Any) -> Outcome:
        """Open the file dialog, unless a file was dropped."""
        if self.filepath:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    @reporting
    def execute(self, context: Any) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath))
        if not self.filepath or not path.exists():
            raise BadArgument(f"The file {self.filepath} does not exist.", "Choose a file of a capture.")
        settings(context).folder = str(scene_of(path))
        redraw_panels()  # Blender does not redraw the panel if the file was dropped outside of it
        return {"FINISHED"}


class SPLATLIFT_OT_choose_value(bpy.types.Operator):
    """Use this value"""

    bl_idname = "splatlift.choose_value"
    bl_label = "Choose"
    bl_options = {"INTERNAL", "UNDO"}

    method: bpy.props.StringProperty()
    setting: bpy.props.StringProperty()
    choice: bpy.props.StringProperty()

    @reporting
    def execute(self, context: Any) -> set[str]:
        value = _value(context, self.method, self.setting)
        if self.choice not in value.choices.split("\n"):
            raise BadArgument(f"{value.title} cannot be {self.choice!r}.", "Choose a value that the server offers.")
        value.text = self.choice
        return {"FINISHED"}


class SPLATLIFT_OT_reset_value(bpy.types.Operator):
    """Reset this setting to the default of the method"""

    bl_idname = "splatlift.reset_value"
    bl_label = "Reset"
    bl_options = {"INTERNAL", "UNDO"}

    method: bpy.props.StringProperty()
    setting: bpy.props.StringProperty()

    @classmethod
    def description(cls, context: Any, properties: Any) -> str:
        """Return the tooltip, which the server provides."""
        found = values.values_of(settings(context), properties.method)
        told = next((each.help for each in found if each.name == properties.setting), "")
        return f"{told}\n\nClick to reset it to the default of the method" if told else cls.__doc__ or ""

    @reporting
    def execute(self, context: Any) -> set[str]:
        value = _value(context, self.method, self.setting)
        values.write(value, values.default_of(value))
        return {"FINISHED"}


def request_of(chosen: Any, folder: Path) -> JobRequest:
    """Return the request of the panel: the method, its changed settings, and splats if they are used.

    Without masks, no method is requested for photographs or splats, because a method requires masks.
    """
    looked = timer.look_at(folder) if bpy.app.background else timer.surveyed
    found = looked if isinstance(looked, Survey) and looked.folder == folder else None
    known = timer.known_connection
    offered = known.server.methods if known is not None and known.server is not None else ()
    method = chosen.method or (offered[0].name if offered else "")
    return options.request(chosen, found, chosen.method or None, values.changed(chosen, method))


def _job(id: str) -> Job:
    """Return the panel's job with this id, or its newest.

    Raises:
        NotFound: if there is none.
    """
    found = [job for job in timer.jobs if id in ("", job.id)]
    if not found:
        raise NotFound("That capture is no longer on the list.")
    return found[-1]


def _value(context: Any, method: str, setting: str) -> Any:
    found = [each for each in values.values_of(settings(context), method) if each.name == setting]
    if not found:
        raise NotFound(f"The server no longer has the setting {setting}.")
    return found[0]


CLASSES = [
    SPLATLIFT_OT_segment,
    SPLATLIFT_OT_cancel,
    SPLATLIFT_OT_forget,
    SPLATLIFT_OT_drop_capture,
    SPLATLIFT_OT_choose_value,
    SPLATLIFT_OT_reset_value,
]

if hasattr(bpy.types, "FileHandler"):

    class SPLATLIFT_FH_capture(bpy.types.FileHandler):
        """Drop a file of a capture on a 3D view with the SplatLift side panel."""

        bl_idname = "SPLATLIFT_FH_capture"
        bl_label = "SplatLift Capture"
        bl_import_operator = "splatlift.drop_capture"
        bl_file_extensions = ";".join(DROPPED)

        @classmethod
        def poll_drop(cls, context: Any) -> bool:
            """Leave all other drops to Blender, which imports images and meshes itself."""
            area = context.area
            if area is None or area.type != "VIEW_3D":
                return False
            panels = [region for region in area.regions if region.type == "UI" and region.width > 1]
            return any(region.active_panel_category == "SplatLift" for region in panels)

    CLASSES.append(SPLATLIFT_FH_capture)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
