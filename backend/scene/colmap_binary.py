"""Checks that COLMAP's binary files are complete, which COLMAP's own reader does not.

COLMAP's reader allocates memory by a count in the file and reads past the end, so a truncated file gives random cameras
at best, and at worst exhausts memory or never ends. The formats are those of COLMAP's ``reconstruction_io_binary``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from backend.colmap_library import pycolmap
from protocol.errors import BadScene

COUNT = struct.Struct("<Q")
POSE_BYTES = 56
"""A quaternion and a translation: 7 float64."""


class _NoRotation(Exception):
    """An image has a quaternion of zeros, which COLMAP's reader takes for no rotation at all."""


def check_binary(folder: Path) -> None:
    """Refuse a model whose binary files are shorter or longer than their counts say.

    Args:
        folder: contains ``cameras.bin``, ``images.bin`` and ``points3D.bin``, and for COLMAP 3.12 or newer ``rigs.bin``
            and ``frames.bin``.

    Raises:
        BadScene: with the name of the file.
    """
    tables = {"cameras": _camera, "images": _image, "points3D": _point, "rigs": _rig, "frames": _frame}
    for name, end_of_record in tables.items():
        file = folder / f"{name}.bin"
        if not file.is_file():
            continue
        data = file.read_bytes()
        try:
            is_whole = _is_whole(data, end_of_record)
        except _NoRotation as error:
            raise BadScene(
                f"{file} has a quaternion of zeros, which is not a rotation.", "Export the reconstruction again."
            ) from error
        if not is_whole:
            raise BadScene(
                f"{file} is truncated or damaged: its {len(data)} bytes do not contain the declared records.",
                "Copy the reconstruction again.",
            )


def _is_whole(data: bytes, end_of_record: Callable[[bytes, int], int]) -> bool:
    try:
        (count,) = COUNT.unpack_from(data, 0)
        if count > len(data):
            return False
        position = COUNT.size
        for _ in range(count):
            position = end_of_record(data, position)
    except (struct.error, ValueError, IndexError, OverflowError):
        return False
    return position == len(data)


def _camera(data: bytes, at: int) -> int:
    """Format: camera id uint32, model id int32, width and height uint64, parameters float64."""
    (model,) = struct.unpack_from("<i", data, at + 4)
    camera = pycolmap.Camera.create_from_model_id(1, pycolmap.CameraModelId(model), 1.0, 1, 1)
    return at + 24 + 8 * len(camera.params)


def _image(data: bytes, at: int) -> int:
    """Format: image id uint32, pose, camera id uint32, name with a zero byte, then points: a count, 24 bytes each."""
    if not any(data[at + 4 : at + 36]):
        raise _NoRotation
    after_name = data.index(b"\0", at + 8 + POSE_BYTES) + 1
    (points,) = COUNT.unpack_from(data, after_name)
    return after_name + COUNT.size + 24 * points


def _point(data: bytes, at: int) -> int:
    """Format: point id uint64, position 3 float64, colour 3 uint8, error float64, track: a count, 8 bytes each."""
    (track,) = COUNT.unpack_from(data, at + 43)
    return at + 43 + COUNT.size + 8 * track


def _rig(data: bytes, at: int) -> int:
    """Format: rig id uint32, count of sensors uint32, 8 bytes each; all but the first may have a pose after a flag."""
    (sensors,) = struct.unpack_from("<I", data, at + 4)
    at += 8 + 8 * min(sensors, 1)
    for _ in range(1, sensors):
        at += 9 + POSE_BYTES * (data[at + 8] != 0)
    return at


def _frame(data: bytes, at: int) -> int:
    """Format: frame id uint32, rig id uint32, pose, then data: a count uint32, 16 bytes each."""
    (count,) = struct.unpack_from("<I", data, at + 8 + POSE_BYTES)
    return at + 12 + POSE_BYTES + 16 * count
