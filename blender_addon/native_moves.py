"""Rotates and scales Blender's native Gaussians after Blender has moved their points, so that the view matches exports.

Apply, Join and moves in Edit Mode change the positions of a point cloud, but not its rotations, sizes and spherical
harmonics (Blender 5.3.0). A handler corrects those after each update of the scene in Object Mode. It only uses
attributes of the data, so it works after undo and redo as well.
"""

from contextlib import suppress
from typing import Any

import bpy

from protocol.errors import BadSplats

from .after_update import after_update
from .splats.attributes import catch_up
from .splats.native import is_native


@after_update
def turn_moved(scene: Any, depsgraph: Any) -> None:
    """Correct the Gaussians of objects whose points were moved. A non-uniform scale is left; exports refuse it."""
    for update in depsgraph.updates:
        thing = update.id.original
        if update.is_updated_geometry and thing.id_type == "OBJECT" and thing.type == "POINTCLOUD":
            _catch_up(thing)


def _catch_up(thing: Any) -> None:
    if thing.mode == "OBJECT" and thing.data.is_editable and is_native(thing.data):
        with suppress(BadSplats):
            catch_up(thing.data)


def register() -> None:
    bpy.app.handlers.depsgraph_update_post.append(turn_moved)


def unregister() -> None:
    bpy.app.handlers.depsgraph_update_post.remove(turn_moved)
