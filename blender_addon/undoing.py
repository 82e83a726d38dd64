"""Undo and redo change how objects are shown; the colours of solid views, which Blender leaves, follow here."""

from __future__ import annotations

from typing import Any

import bpy

from .operators.importing import colour_solid_views
from .settings import shown_scene
from .splats.collections import shown_as
from .splats.colours import labels_shown


class _Last:
    """How objects were shown before an undo or redo: "POINTS", "SPLATS" or "DISCS", and whether in label colours."""

    shown: tuple[str, bool] | None = None


@bpy.app.handlers.persistent
def notice(scene: Any, depsgraph: Any) -> None:
    """Blender calls this before an undo or redo."""
    _Last.shown = _shown()


@bpy.app.handlers.persistent
def colour_views_soon(scene: Any, depsgraph: Any) -> None:
    """Blender calls this after an undo or redo, when its collections are not complete yet: reading them may crash."""
    if not bpy.app.timers.is_registered(colour_views):
        bpy.app.timers.register(colour_views)


def colour_views() -> None:
    """Give solid views the colours of what is shown, if an undo or redo has changed how objects are shown."""
    shown = _shown()
    if shown is not None and shown != _Last.shown:
        colour_solid_views(shown_scene(bpy.context))


def _shown() -> tuple[str, bool] | None:
    scene = shown_scene(bpy.context)
    return None if scene is None else (shown_as(scene)[0], labels_shown())


def _handlers() -> list[tuple[list[Any], Any]]:
    called: Any = bpy.app.handlers
    return [
        (called.undo_pre, notice),
        (called.redo_pre, notice),
        (called.undo_post, colour_views_soon),
        (called.redo_post, colour_views_soon),
    ]


def register() -> None:
    for handlers, handler in _handlers():
        handlers.append(handler)


def unregister() -> None:
    for handlers, handler in _handlers():
        handlers.remove(handler)
    if bpy.app.timers.is_registered(colour_views):
        bpy.app.timers.unregister(colour_views)
