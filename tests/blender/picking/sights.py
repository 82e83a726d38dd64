"""Cameras that look at imported scenes, and what they see of a point."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from mathutils import Vector

from blender_addon.sight import Sight

SIZE = (400, 300)


def camera_at(place: tuple[float, float, float], target: Any, kind: str = "PERSP") -> Any:
    """A camera with a lens shift that looks at a point."""
    camera: Any = bpy.data.objects.new("looking", bpy.data.cameras.new("looking"))
    bpy.context.scene.collection.objects.link(camera)
    camera.data.type = kind
    camera.data.ortho_scale = 12.0
    camera.data.shift_x, camera.data.shift_y = 0.06, -0.04
    camera.location = place
    camera.rotation_euler = (Vector(target) - Vector(place)).to_track_quat("-Z", "Y").to_euler()
    bpy.context.view_layer.update()
    return camera


def sight_through(camera: Any, size: tuple[int, int] = SIZE) -> Sight:
    """What a view has that looks through a camera."""
    graph = bpy.context.evaluated_depsgraph_get()
    projection = camera.calc_matrix_camera(graph, x=size[0], y=size[1])
    view = np.linalg.inv(np.array(camera.matrix_world, np.float64))
    return Sight(view, np.array(projection, np.float64), *size)


def pixel_of(sight: Sight, point: Any) -> tuple[float, float]:
    """The pixel of a point in the world, from the lower left corner."""
    clip = sight.projection @ sight.view @ np.array([*point, 1.0])
    across, up = clip[:2] / clip[3]
    return float((across + 1) / 2 * sight.width), float((up + 1) / 2 * sight.height)
