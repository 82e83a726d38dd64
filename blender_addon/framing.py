"""Turn the 3D views to a newly imported scene."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import atan, sin
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

from . import session
from .splats.cameras import SIZE, is_camera
from .splats.collections import splat_objects
from .splats.columns import read_positions
from .startup import STARTUP

INNER = (0.02, 0.98)
"""Quantiles of the positions along each axis that a view shows; floaters may lie far outside."""
HALF_SENSOR = 36.0
"""Half of the width of the film of a 3D view, in millimetres of its lens."""


def frame(collection: Any, spaces: Iterable[Any]) -> None:
    """Turn views to a newly imported scene, if it is the only thing that there is to see.

    A perspective view goes to the camera of the capture that sees most objects: seen from outside, the walls of a room
    hide its objects. Views along an axis, and scenes without cameras, are framed from their direction. Views through a
    camera, and those of a user who has objects of their own, are not changed.

    Args:
        collection: of the scene.
        spaces: the views, ``bpy.types.SpaceView3D``.
    """
    layer = bpy.context.view_layer
    layer.update()
    own = set(collection.all_objects)
    if any(thing not in own and thing.name not in STARTUP and thing.visible_get() for thing in layer.objects):
        return
    # The background may reach far beyond the objects.
    parts = session.objects_of(collection) or [session.background_of(collection)]
    points = [places for part in parts if part is not None and len(places := _positions(part))]
    if not points:
        return
    cameras = session.cameras_of(collection)
    camera = _best([each for each in cameras.objects if is_camera(each)], points) if cameras else None
    for space in spaces:
        if space.region_3d.view_perspective == "PERSP" and camera is not None:
            _look_from(space.region_3d, camera, points)
        elif space.region_3d.view_perspective != "CAMERA":
            _show_all(space, np.concatenate(points))


def _positions(collection: Any) -> np.ndarray:
    """Return the positions of the Gaussians of an object's collection in Blender's world, (N, 3)."""
    found = [np.empty((0, 3))]
    for thing in splat_objects(collection):
        place = np.array(thing.matrix_world)
        found.append(read_positions(thing.data) @ place[:3, :3].T + place[:3, 3])
    return np.concatenate(found)


def _best(cameras: Sequence[Any], points: Sequence[np.ndarray]) -> Any:
    """Return the camera that has the centres of most objects in its picture, or None if none has any."""
    centres = np.array([np.median(each, axis=0) for each in points])
    counts = [_seen(camera, centres) for camera in cameras]
    return cameras[int(np.argmax(counts))] if any(counts) else None


def _seen(camera: Any, centres: np.ndarray) -> int:
    """Return how many of the points (N, 3) are in the picture of a camera of the capture."""
    back = np.array(camera.matrix_world.normalized().inverted())
    x, y, z = (centres @ back[:3, :3].T + back[:3, 3]).T
    width, height, aspect = camera.data[SIZE]
    tangent = camera.data.sensor_width / 2 / camera.data.lens
    return int(((z < 0) & (abs(x) < -z * tangent) & (abs(y) < -z * tangent * height / width * aspect)).sum())


def _look_from(view: Any, camera: Any, points: Sequence[np.ndarray]) -> None:
    """See from the place of a camera in its direction, upright, and orbit the objects at their median distance."""
    forward = camera.matrix_world.to_3x3().normalized() @ Vector((0, 0, -1))
    eye = camera.matrix_world.translation
    depths = (np.concatenate(points) - np.array(eye)) @ np.array(forward)
    distance = float(np.median(depths[depths > 0]))
    view.view_rotation = forward.to_track_quat("-Z", "Y")
    view.view_location, view.view_distance = eye + forward * distance, distance


def _show_all(space: Any, points: np.ndarray) -> None:
    """Frame the points (N, 3) without changing the direction of a view."""
    low, high = np.quantile(points, INNER, axis=0)
    space.region_3d.view_location = Vector(((low + high) / 2).tolist())
    radius = float(np.linalg.norm(high - low)) / 2
    space.region_3d.view_distance = max(radius, 1e-3) / sin(atan(HALF_SENSOR / space.lens))
