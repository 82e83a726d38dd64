"""The objects of Blender's startup file, which are in a new file when a scene is imported."""

from __future__ import annotations

from typing import Any

import numpy as np
from mathutils import Matrix

STARTUP = {"Camera", "Cube", "Light"}
"""Their names."""
_CORNERS = 8


def startup_cube(context: Any) -> Any:
    """Return the cube of the startup file if a view shows it as Blender made it, else None.

    In the middle of an imported room it hides the objects. It may be the user's all the same, so it is never deleted
    unasked.
    """
    cube = context.view_layer.objects.get("Cube")
    if cube is None or cube.type != "MESH" or cube.library is not None or not cube.visible_get():
        return None
    is_placed = cube.matrix_world == Matrix() and cube.parent is None and not cube.children
    is_plain = not (cube.modifiers or cube.constraints or cube.animation_data or cube.data.animation_data)
    if not (is_placed and is_plain) or len(cube.data.vertices) != _CORNERS:
        return None
    corners = np.empty(3 * _CORNERS, np.float32)
    cube.data.vertices.foreach_get("co", corners)
    return cube if (abs(corners) == 1).all() else None
