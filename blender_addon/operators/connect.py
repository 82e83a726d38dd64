"""Connect to the server, and disconnect."""

from typing import Any

import bpy

from protocol.address import parse
from protocol.errors import Unavailable

from ..api import PATIENCE, START
from ..preferences import address, check_online, environment, pairing
from ..timer import timer
from .reporting import is_ready, reporting


class SPLATLIFT_OT_connect(bpy.types.Operator):
    """Connect to the server, and reconnect when the connection is lost"""

    bl_idname = "splatlift.connect"
    bl_label = "Connect"
    bl_options = {"INTERNAL"}

    @reporting
    def execute(self, context: Any) -> set[str]:
        where = parse(address())
        check_online(where)
        connection = timer.connection
        connection.connect(address(), pairing())
        timer.start()
        if bpy.app.background:
            connection.run(lambda: connection.state in ("connected", "error"), PATIENCE)
            if connection.state != "connected":
                raise connection.error or Unavailable(f"No SplatLift server answers at {where}.")
            connection.run(lambda: not connection.requests, PATIENCE)
            timer.settle()
        return {"FINISHED"}


class SPLATLIFT_OT_disconnect(bpy.types.Operator):
    """Disconnect. A running job continues on the server and is shown again after the next Connect"""

    bl_idname = "splatlift.disconnect"
    bl_label = "Disconnect"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        known = timer.known_connection
        return known is not None and (known.wanted or known.state == "error")

    @reporting
    def execute(self, context: Any) -> set[str]:
        timer.connection.close()
        return {"FINISHED"}


class SPLATLIFT_OT_start_server(bpy.types.Operator):
    """Start a server on this machine and connect to it. It stops when Blender closes"""

    bl_idname = "splatlift.start_server"
    bl_label = "Start a Server Here"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return is_ready(cls, missing_for_server())

    @reporting
    def execute(self, context: Any) -> set[str]:
        program = environment()
        assert program is not None  # see poll
        timer.start_local(program)
        if bpy.app.background:
            timer.connection.connect(timer.local.wait_for_address(START), started_here=True)
            timer.connection.run(lambda: timer.connection.state in ("connected", "error"), PATIENCE)
        return {"FINISHED"}


def missing_for_server() -> str:
    """Return what is missing to start a server on this machine; empty if nothing is."""
    return "" if environment() else "To start a server here, set Backend in the preferences (gear)."


class SPLATLIFT_OT_stop_server(bpy.types.Operator):
    """Stop the server on this machine. Its jobs continue when it is started again"""

    bl_idname = "splatlift.stop_server"
    bl_label = "Stop the Server Here"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return timer.local.state != "stopped"

    @reporting
    def execute(self, context: Any) -> set[str]:
        timer.connection.close()
        timer.local.stop(wait=bpy.app.background)
        return {"FINISHED"}


CLASSES = (SPLATLIFT_OT_connect, SPLATLIFT_OT_disconnect, SPLATLIFT_OT_start_server, SPLATLIFT_OT_stop_server)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
