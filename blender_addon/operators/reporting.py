"""Reports faults in Blender's interface, and steps of undo from timers."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal

import bpy

from protocol.errors import Fault

Outcome = set[Literal["RUNNING_MODAL", "CANCELLED", "FINISHED", "PASS_THROUGH", "INTERFACE"]]
"""Return values of an operator."""


def reporting(execute: Callable[[Any, Any], set[str]]) -> Any:
    """Decorator: make an operator's ``execute`` report a :class:`Fault` and cancel, instead of showing a traceback."""

    @wraps(execute)
    def reported(self: Any, context: Any) -> set[str]:
        try:
            return execute(self, context)
        except Fault as fault:
            self.report({"ERROR"}, str(fault))
            return {"CANCELLED"}

    return reported


def is_ready(operator: Any, missing: str) -> bool:
    """Return whether nothing is missing for an operator's ``poll``; else the tooltip says what is.

    Args:
        operator: the class of the operator.
        missing: a sentence; empty if nothing is missing.
    """
    if missing:
        operator.poll_message_set(missing.removesuffix("."))
    return not missing


def push_undo(message: str) -> None:
    """Add a step of undo, which a timer has to do itself."""
    with bpy.context.temp_override(window=next(iter(bpy.context.window_manager.windows), None)):
        push: Any = bpy.ops.ed.undo_push
        if push.poll():
            push(message=message)
