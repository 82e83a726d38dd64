"""Undo and redo change how objects are shown; the colours of solid views, which Blender leaves, follow here."""

from __future__ import annotations

from typing import Any

import bpy

from .operators.importing import colour_solid_views, coloured, how_shown
from .settings import shown_scene
from .soon import call_no_more, call_soon


@bpy.app.handlers.persistent
def colour_views_soon(scene: Any, depsgraph: Any) -> None:
    """Blender calls this after an undo or redo, when the objects of collections may be gone."""
    call_soon(colour_views)


def colour_views() -> None:
    """Give solid views the colours of what is shown, if objects are not shown as they were when views got theirs."""
    scene = shown_scene(bpy.context)
    if scene is not None and how_shown(scene) != coloured.how:
        colour_solid_views(scene)


def _handlers() -> tuple[list[Any], ...]:
    called: Any = bpy.app.handlers
    return called.undo_post, called.redo_post


def register() -> None:
    for each in _handlers():
        each.append(colour_views_soon)


def unregister() -> None:
    for each in _handlers():
        each.remove(colour_views_soon)
    call_no_more(colour_views)
