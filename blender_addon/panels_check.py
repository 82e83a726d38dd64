"""The panel of the objects that are least certain."""

from typing import Any

import bpy

from . import session
from .editing.checking import unchecked
from .panels import ScenePanel, draw_text
from .settings import settings, shown_scene

OFFERED = 3
"""Objects in the panel."""


class SPLATLIFT_PT_check(ScenePanel, bpy.types.Panel):
    """The least certain objects that were not checked yet."""

    bl_label = "Check These Three"
    bl_parent_id = "SPLATLIFT_PT_objects"

    def draw(self, context: Any) -> None:
        objects = session.objects_of(shown_scene(context))
        left = unchecked(objects)
        if not objects:
            self.layout.label(text="The scene has no objects", icon="INFO")
            return
        if not left:
            self.layout.label(text="All objects are checked", icon="CHECKMARK")
            self.layout.operator("splatlift.check_again")
            return
        column = self.layout.column(align=True)
        for part in left[:OFFERED]:
            known = part.splatlift
            text = f"{part.name}, {known.confidence:.0%}"
            is_current = known.object_id == settings(context).checking
            button = column.operator("splatlift.check_object", text=text, depress=is_current)
            button.object_id, button.collection = known.object_id, part.name
        column.operator("splatlift.check_next", icon="TRIA_RIGHT")
        draw_text(self.layout, context, f"{len(left)} of {len(objects)} objects not checked", "NONE")


CLASSES = (SPLATLIFT_PT_check,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
