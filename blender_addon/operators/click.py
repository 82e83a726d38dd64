"""Select by clicks in the 3D view: a modal operator that handles only clicks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import bpy
import numpy as np

from protocol.errors import Fault
from protocol.ray_picking import Mode

from ..picking.clicking import Clicks
from ..picking.overlay import Overlay
from ..settings import choose_in_list
from ..sight import Sight
from .reporting import Outcome

HINT = "Click: object, then its part    Shift: add    Ctrl: subtract    Shift-Ctrl: intersect    Esc: end"
PRESSED = ("PRESS", "DOUBLE_CLICK")
"""The second of two quick clicks has a separate event type."""
ENDS = ("ESC", "RET", "NUMPAD_ENTER", "RIGHTMOUSE")


class Under(NamedTuple):
    """The 3D view under the mouse, and the pixel in it."""

    area: Any
    region: Any
    x: float
    y: float


class SPLATLIFT_OT_select_by_click(bpy.types.Operator):
    """Select objects and parts by clicks in the view"""

    bl_idname = "splatlift.select_by_click"
    bl_label = "Select by Click"
    is_running = False
    overlay: ClassVar[Overlay | None] = None

    @classmethod
    def poll(cls, context: Any) -> bool:
        if cls.is_running:
            cls.poll_message_set("Click in the view, and press Esc to end")
            return False
        if context.mode != "OBJECT":
            cls.poll_message_set("Clicks select objects in Object Mode")
            return False
        return True

    def invoke(self, context: Any, event: Any) -> Outcome:
        self._clicks = Clicks()
        context.window.cursor_set("WAIT")
        try:
            self._clicks.prepare(context.view_layer, lambda thing: thing.visible_get())
        except Fault as fault:
            self.report({"ERROR"}, str(fault))
            return {"CANCELLED"}
        finally:
            context.window.cursor_set("DEFAULT")
        SPLATLIFT_OT_select_by_click.overlay = Overlay(self._clicks)
        SPLATLIFT_OT_select_by_click.is_running = True
        _say(context, HINT)
        context.window.cursor_modal_set("CROSSHAIR")
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> Outcome:
        if context.mode != "OBJECT" or (event.type in ENDS and event.value == "PRESS"):
            self.cancel(context)
            return {"PASS_THROUGH", "CANCELLED"} if context.mode != "OBJECT" else {"CANCELLED"}
        if event.type != "LEFTMOUSE" or event.value not in PRESSED:
            return {"PASS_THROUGH"}
        under = view_under(context.window.screen, event.mouse_x, event.mouse_y)
        if under is None:
            return {"PASS_THROUGH"}
        _say(context, f"{click(context, self._clicks, under, mode_of(event.shift, event.ctrl))}    {HINT}")
        under.region.tag_redraw()
        return {"RUNNING_MODAL"}

    def cancel(self, context: Any) -> None:
        """End the tool. Blender also calls this when it closes the window or loads another file."""
        _end(context)


def click(context: Any, clicks: Clicks, under: Under, mode: Mode) -> str:
    """Apply a click as one undo step, and return a sentence about it."""
    sight, is_visible = sight_of(under.region), is_shown(under.area.spaces.active)
    try:
        clicked = clicks.click(context.view_layer, sight, under.x, under.y, mode, is_visible=is_visible)
    except Fault as fault:
        return str(fault)
    if clicked.whole is not None:
        choose_in_list(context, clicked.whole, clicked.part)
    push: Any = bpy.ops.ed.undo_push
    if push.poll():
        push(message="Select by Click")
    return clicked.sentence


def is_shown(space: Any) -> Callable[[Any], bool]:
    """Return whether the space of a 3D view shows a Blender object."""
    return lambda thing: thing.visible_get(viewport=space)


def sight_of(region: Any) -> Sight:
    """Return the viewpoint and projection of a region of a 3D view."""
    seen = region.data
    view, projection = np.array(seen.view_matrix, np.float64), np.array(seen.window_matrix, np.float64)
    return Sight(view, projection, region.width, region.height)


def mode_of(shift: bool, ctrl: bool) -> Mode:
    """Return how a click with these keys changes the selection."""
    if shift and ctrl:
        return "intersect"
    return "add" if shift else "subtract" if ctrl else "set"


def view_under(screen: Any, x: int, y: int) -> Under | None:
    """Return the 3D view under a pixel of a window, or None; its panels and headers do not count as the view."""
    for area in (each for each in screen.areas if each.type == "VIEW_3D"):
        inside = [each for each in area.regions if 0 <= x - each.x < each.width and 0 <= y - each.y < each.height]
        views = [each for each in inside if each.type == "WINDOW"]
        if views and all(each.type == "WINDOW" for each in inside):
            return Under(area, views[0], x - views[0].x + 0.5, y - views[0].y + 0.5)
    return None


def _end(context: Any) -> None:
    """Undo what the running tool shows."""
    tool = SPLATLIFT_OT_select_by_click
    tool.is_running = False
    if tool.overlay is not None:
        tool.overlay.remove()
        tool.overlay = None
    if context.window is not None:  # as when Blender exits
        _say(context, None)
        context.window.cursor_modal_restore()


def _say(context: Any, text: str | None) -> None:
    context.workspace.status_text_set(text)


CLASSES = (SPLATLIFT_OT_select_by_click,)

register, _unregister = bpy.utils.register_classes_factory(CLASSES)


def unregister() -> None:
    """End a running tool as well: Blender drops its handler without calling ``cancel``."""
    if SPLATLIFT_OT_select_by_click.is_running:
        _end(bpy.context)
    _unregister()
