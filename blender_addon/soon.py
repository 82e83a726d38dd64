"""Calls functions once Blender has finished what it is doing.

Within an edit or an undo, collections may name objects that are gone, and reading them may crash.
"""

from __future__ import annotations

from collections.abc import Callable

import bpy


def call_soon(function: Callable[[], None]) -> None:
    """Have a timer of Blender call a function; once, however often this is asked before."""
    if not bpy.app.timers.is_registered(function):
        bpy.app.timers.register(function)


def call_no_more(function: Callable[[], None]) -> None:
    """Do not call a function that waits for its timer."""
    if bpy.app.timers.is_registered(function):
        bpy.app.timers.unregister(function)
