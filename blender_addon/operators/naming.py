"""Name the objects of a scene from a list of words, as the server recognises them."""

from __future__ import annotations

import re
from typing import Any

import bpy

from protocol.messages import NameObjects
from protocol.words import check_words

from .. import session
from ..client.naming import Names, ask_names
from ..client.selection import job_of
from ..editing.modes import outside_edit_mode
from ..editing.parts import check_local, name_part, parts_of
from ..settings import settings
from .edit_targets import need_scene
from .reporting import reporting
from .versions import base_of, changed
from .waiting import Asks, Stops, Waiting, need_connection

LISTED = 8
"""Most new names that the panel lists."""

naming: Waiting[Names] = Waiting("Objects are being named", "Name Objects")
"""The one that the panel shows."""


class SPLATLIFT_OT_name_objects(Asks, bpy.types.Operator):
    """Name the objects that the words describe. The server looks for them in the views of the result"""

    bl_idname = "splatlift.name_objects"
    bl_label = "Name Objects"
    bl_options = {"REGISTER"}
    waiting = naming

    @reporting
    def execute(self, context: Any) -> set[str]:
        scene = need_scene(context)
        check_local(scene)
        known = need_connection()
        words = check_words(split(settings(context).names))
        job = job_of(session.source_of(scene))
        wanted = NameObjects(job, words, base=base_of(scene))
        naming.ask(known, ask_names(known, wanted, naming.tell), scene, _shown)
        if naming.lines:
            self.report({"INFO"}, naming.lines[0])
        return {"FINISHED"}


class SPLATLIFT_OT_stop_naming(Stops, bpy.types.Operator):
    """Stop naming. No object gets a name"""

    bl_idname = "splatlift.stop_naming"
    bl_label = "Cancel"
    bl_options = {"INTERNAL"}
    waiting = naming


def split(text: str) -> list[str]:
    """Return the words of a list with commas or semicolons between them."""
    return [word for word in re.split(r"[,;\n]", text) if word.strip()]


@outside_edit_mode
def _shown(scene: Any, found: Names) -> list[str]:
    """Name the objects of the scene; return what the panel says about it."""
    lines = []
    for part in parts_of(scene):
        name = found.names.get(part.splatlift.label)
        if name is not None and part.splatlift.kind == "OBJECT":
            lines.append(f"{part.splatlift.label_name or part.name}: {name}")
            name_part(part, name)
    changed(scene, found.base, found.version)
    left = len(lines) - LISTED
    more = [f"and {left} more"] if left > 0 else []
    return [f"{len(lines)} of {found.total} objects named", *lines[:LISTED], *more]


CLASSES = (SPLATLIFT_OT_name_objects, SPLATLIFT_OT_stop_naming)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
