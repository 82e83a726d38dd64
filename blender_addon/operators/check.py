"""Look at the least certain objects, one after the other."""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of an operator from its annotations.

from typing import Any

import bpy

from protocol.errors import BadArgument, NotFound

from .. import session
from ..editing.checking import check_again, next_to_check
from ..editing.show_only import show_only
from ..settings import choose_in_list, settings
from .edit_targets import need_scene
from .look import OfScene
from .reporting import Outcome, reporting

OTHER_MODE = "Objects can only be shown in Object Mode"
SURROUNDINGS = 2.5
"""How many times farther than from an object that fills the view it is looked at, to show what is around it."""


class _Shows(OfScene):
    @classmethod
    def poll(cls, context: Any) -> bool:
        if context.mode != "OBJECT":
            cls.poll_message_set(OTHER_MODE)  # pyright: ignore[reportAttributeAccessIssue]  # of bpy.types.Operator
            return False
        return super().poll(context)


class SPLATLIFT_OT_check_next(_Shows, bpy.types.Operator):
    """Mark the object as checked, and show the next least certain one"""

    bl_idname = "splatlift.check_next"
    bl_label = "Next"

    @reporting
    def execute(self, context: Any) -> set[str]:
        part = next_to_check(need_scene(context), settings(context).checking)
        if part is None:
            settings(context).checking = ""
            self.report({"INFO"}, "All objects are checked")
        else:
            look_at(context, part)
            self.report({"INFO"}, f"{part.name}: {part.splatlift.confidence:.0%} certain")
        return {"FINISHED"}


class SPLATLIFT_OT_check_object(_Shows, bpy.types.Operator):
    """Select this object and show it in the view"""

    bl_idname = "splatlift.check_object"
    bl_label = "Show Object"

    object_id: bpy.props.StringProperty(name="Object Id", options={"SKIP_SAVE"})
    collection: bpy.props.StringProperty(name="Collection", description=session.OF_SEVERAL, options={"SKIP_SAVE"})

    @reporting
    def execute(self, context: Any) -> set[str]:
        part = session.find(self.object_id, self.collection)
        if part is None:
            raise NotFound("That object is no longer in this file.")
        look_at(context, part)
        return {"FINISHED"}


class SPLATLIFT_OT_check_again(OfScene, bpy.types.Operator):
    """Offer all objects again"""

    bl_idname = "splatlift.check_again"
    bl_label = "Start Again"

    def execute(self, context: Any) -> Outcome:
        check_again(need_scene(context))
        return {"FINISHED"}


def look_at(context: Any, part: Any) -> None:
    """Select an object alone and frame it in the view.

    Raises:
        BadArgument: if it is hidden.
    """
    show_only(context, [part])
    settings(context).checking = part.splatlift.object_id
    if not context.selected_objects:
        raise BadArgument(f"{part.name} is hidden.", "Unhide it in the list or in the outliner.")
    choose_in_list(context, part)
    window, area = _view(context)
    if area is not None:
        region = next(each for each in area.regions if each.type == "WINDOW")
        with context.temp_override(window=window, area=area, region=region):
            bpy.ops.view3d.view_selected()
        area.spaces.active.region_3d.view_distance *= SURROUNDINGS


def _view(context: Any) -> tuple[Any, Any]:
    """Return the window and area of the 3D view that the button is in, or else of the largest one; None without any."""
    if context.area is not None and context.area.type == "VIEW_3D":
        return context.window, context.area
    pairs = [(window, area) for window in context.window_manager.windows for area in window.screen.areas]
    views = [(window, area) for window, area in pairs if area.type == "VIEW_3D"]
    return max(views, key=lambda pair: pair[1].width * pair[1].height, default=(None, None))


CLASSES = (SPLATLIFT_OT_check_next, SPLATLIFT_OT_check_object, SPLATLIFT_OT_check_again)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
