"""Connect to the server, and disconnect."""

from typing import Any, ClassVar

import bpy

from protocol.errors import Refused, Unavailable

from ..address import parse
from ..api import PATIENCE
from ..preferences import address
from ..pump import pump
from .reporting import reporting


class SPLATLIFT_OT_connect(bpy.types.Operator):
    """Connect to the server, and again whenever it is lost"""

    bl_idname = "splatlift.connect"
    bl_label = "Connect"
    bl_options: ClassVar = {"INTERNAL"}

    @reporting
    def execute(self, context: Any) -> set[str]:
        where = parse(address())
        if not where.is_loopback and not bpy.app.online_access:
            raise Refused(
                f"Blender is not allowed to go online, and the server at {where} is on another machine.",
                "Turn on Preferences > System > Network > Allow Online Access.",
            )
        connection = pump.connection
        connection.connect(address())
        pump.start()
        if bpy.app.background:
            connection.run(lambda: connection.state in ("connected", "error"), PATIENCE)
            if connection.state != "connected":
                raise connection.error or Unavailable(f"No SplatLift server answers at {where}.")
        return {"FINISHED"}


class SPLATLIFT_OT_disconnect(bpy.types.Operator):
    """Disconnect; a running job goes on at the server and is followed again after the next Connect"""

    bl_idname = "splatlift.disconnect"
    bl_label = "Disconnect"
    bl_options: ClassVar = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        known = pump.known_connection
        return known is not None and (known.wanted or known.state == "error")

    @reporting
    def execute(self, context: Any) -> set[str]:
        pump.connection.close()
        return {"FINISHED"}


CLASSES = (SPLATLIFT_OT_connect, SPLATLIFT_OT_disconnect)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
