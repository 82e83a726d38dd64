"""Segment the chosen capture on the server, and cancel that."""

from typing import Any, ClassVar

import bpy

from protocol.errors import BadArgument
from protocol.messages import JobRequest

from ..pump import pump
from ..settings import capture_folder, settings
from .reporting import reporting


class SPLATLIFT_OT_segment(bpy.types.Operator):
    """Send the capture to the server and have it taken apart into objects"""

    bl_idname = "splatlift.segment"
    bl_label = "Segment"
    bl_options: ClassVar = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        known = pump.known_connection
        if known is None or known.state != "connected":
            cls.poll_message_set("Connect to a server first")
        elif not settings(context).folder:
            cls.poll_message_set("Choose the folder of a capture first")
        elif pump.job is not None and not pump.job.final:
            cls.poll_message_set("One capture is being segmented already")
        else:
            return True
        return False

    @reporting
    def execute(self, context: Any) -> set[str]:
        folder = capture_folder(context)
        if folder is None or not folder.is_dir():
            raise BadArgument(f"There is no folder {folder}.", "Choose the one that holds the photographs.")
        pump.job = pump.connection.submit(folder, JobRequest(method=settings(context).method or None))
        pump.start()
        if bpy.app.background:
            pump.job.result()
        return {"FINISHED"}


class SPLATLIFT_OT_cancel(bpy.types.Operator):
    """Stop the job, here and at the server"""

    bl_idname = "splatlift.cancel"
    bl_label = "Cancel"
    bl_options: ClassVar = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return pump.job is not None and not pump.job.final

    def execute(self, context: Any) -> set[str]:
        if pump.job is not None:
            pump.job.cancel()
        pump.start()
        return {"FINISHED"}


CLASSES = (SPLATLIFT_OT_segment, SPLATLIFT_OT_cancel)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
