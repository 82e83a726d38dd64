"""The cameras of a capture as Blender cameras, with their photographs as background images.

Blender's cameras look along minus z with y up and measure in sensor widths; those of a capture look along z with y down
and measure in pixels. The images agree to a thousandth of a pixel if the scene has the camera's render size and pixel
aspect, which :func:`look_through` sets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from protocol.result.cameras import CameraRow, photograph_of

NAME = "Cameras"
SIZE = "splatlift_size"
"""Custom property of a camera: width and height in pixels, and the height of a pixel relative to its width."""

_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
_DISPLAY = 0.1
"""Display size of a camera, relative to the median distance of the cameras from their centre."""


def add_cameras(scene: Any, upright: Any, rows: Sequence[CameraRow], capture: Path | None) -> Any:
    """Create a collection of hidden cameras in the collection ``scene`` and return it.

    Views show many cameras as a tangle of wires in front of the objects, so :func:`look_through` shows one at a time.

    Args:
        upright: the object that rotates the frame of the capture upright; the parent of the cameras.
        capture: the folder of the photographs, or None for cameras without them.
    """
    collection: Any = bpy.data.collections.new(NAME)
    scene.children.link(collection)
    poses = [np.linalg.inv(np.array(row.viewmat)) @ _FLIP for row in rows]
    extent = _extent(poses)
    for row, pose in zip(rows, poses, strict=True):
        data: Any = bpy.data.cameras.new(row.name)
        thing: Any = bpy.data.objects.new(row.name, data)
        collection.objects.link(thing)
        thing.parent = upright
        thing.rotation_mode = "QUATERNION"
        thing.matrix_basis = Matrix(pose.tolist())
        _set_lens(data, row)
        data.display_size = _DISPLAY * extent
        data.clip_start, data.clip_end = 1e-3 * extent, 1e3 * extent
        photograph = photograph_of(row, capture) if capture is not None else None
        if photograph is not None:
            _put_behind(data, photograph)
    set_hidden(collection.objects, True)
    return collection


def look_through(camera: Any, scene: Any) -> None:
    """Make ``camera`` the active camera of a ``bpy.types.Scene``, and set its render size and pixel aspect.

    It is shown, because Blender draws the photograph only of a camera that is; the active camera before is hidden if
    others are.
    """
    before = scene.camera
    if is_camera(before) and before != camera:
        beside = [thing for each in before.users_collection for thing in each.objects]
        if not are_shown(beside):
            set_hidden([before], True)
    set_hidden([camera], False)
    width, height, aspect = camera.data[SIZE]
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = int(width), int(height), 100
    # Blender does not accept a pixel aspect below 1.
    render.pixel_aspect_x, render.pixel_aspect_y = max(1.0, 1 / aspect), max(1.0, aspect)
    scene.camera = camera


def are_shown(things: Iterable[Any]) -> bool:
    """Return whether all cameras among some objects are shown."""
    return not any(each.hide_get() for each in things if is_camera(each))


def set_hidden(cameras: Iterable[Any], hidden: bool) -> None:
    """Hide or show cameras of one collection in all view layers, as the eye in the outliner does."""
    several = list(cameras)
    scenes = several[0].users_scene if several else ()
    for layer in [layer for scene in scenes for layer in scene.view_layers]:
        layer.update()  # else it does not have new objects yet
        for thing in several:
            if layer.objects.get(thing.name) == thing:
                thing.hide_set(hidden, view_layer=layer)


def is_camera(thing: Any) -> bool:
    """Whether an object is a camera of a capture."""
    return thing is not None and thing.type == "CAMERA" and SIZE in thing.data


def photographs_of(collection: Any) -> int:
    """Return how many of a collection's cameras have their photograph."""
    return sum(bool(each.data.background_images) for each in collection.objects if is_camera(each))


def remove_cameras(collection: Any) -> None:
    """Remove a collection of cameras and all data that only it uses."""
    cameras = [each for each in collection.objects if is_camera(each)]
    data = [each.data for each in cameras]
    images = {image.image for each in data for image in each.background_images if image.image is not None}
    bpy.data.batch_remove([*cameras, *(each for each in data if each.users <= 1), collection])
    bpy.data.batch_remove([image for image in images if not image.users])


def _set_lens(data: Any, row: CameraRow) -> None:
    (fx, _, cx), (_, fy, cy), _ = row.K
    data.sensor_fit = "HORIZONTAL"
    data.lens = fx * data.sensor_width / row.width
    # Shifts are in widths of the frame, positive upwards and to the right.
    data.shift_x = (row.width / 2 - cx) / row.width
    data.shift_y = (cy - row.height / 2) / row.width * fx / fy
    data[SIZE] = (float(row.width), float(row.height), fx / fy)


def _put_behind(data: Any, photograph: Path) -> None:
    data.show_background_images = True
    picture = data.background_images.new()
    picture.image = bpy.data.images.load(str(photograph), check_existing=True)
    # The photograph may have another resolution than the camera; it still fills the frame.
    picture.frame_method = "STRETCH"
    picture.display_depth = "BACK"
    picture.alpha = 1.0


def _extent(poses: Sequence[np.ndarray]) -> float:
    """Return the median distance of the cameras from their centre; 1 if that is about 0."""
    if not poses:
        return 1.0
    centres = np.array([pose[:3, 3] for pose in poses])
    distance = float(np.median(np.linalg.norm(centres - centres.mean(0), axis=1)))
    return distance if distance > 1e-6 else 1.0
