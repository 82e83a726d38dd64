"""Handlers that Blender calls after it has evaluated a scene."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import bpy


def after_update(function: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Make a handler for ``depsgraph_update_post``, called with the scene and the depsgraph, that files do not remove.

    It is not called for a render in a window: that evaluates the scene in a thread of its own, while the main thread
    draws and edits the same data.
    """

    @bpy.app.handlers.persistent
    @functools.wraps(function)
    def handler(scene: Any, depsgraph: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            function(scene, depsgraph)

    return handler
