"""Write edits back to the result folder."""

from typing import Any

import bpy

from protocol.result.names import BACKUP

from ..editing.saving import save_edits
from .edit_targets import EDIT_MODES, has_scene, need_scene
from .reporting import reporting


class SPLATLIFT_OT_save_edits(bpy.types.Operator):
    """Write the edited scene to its result folder. The original state is kept there as a backup"""

    bl_idname = "splatlift.save_edits"
    bl_label = "Save Edits to Result"
    # Undo reverts labels that had to be reassigned, but not the files on disk.
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        if not has_scene(cls):
            return False
        if context.mode not in EDIT_MODES:
            cls.poll_message_set("Edits can be saved in Object Mode and in Edit Mode")
            return False
        return True

    @reporting
    def execute(self, context: Any) -> set[str]:
        folder = save_edits(need_scene(context))
        self.report({"INFO"}, f"Edits saved to {folder}; the original state is in {BACKUP}")
        return {"FINISHED"}


CLASSES = (SPLATLIFT_OT_save_edits,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
