"""Are COLMAP's binary files whole? COLMAP's own reader does not ask.

It takes a count from the file, reserves that much memory and goes on reading past the end, so a file that is cut off
gives made-up cameras at best, and at worst takes all memory or never ends. The formats are those of COLMAP's
``reconstruction_io_binary``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pycolmap

from protocol.errors import BadScene

COUNT = struct.Struct("<Q")
POSE_BYTES = 56
"""A quaternion and a translation: 7 float64."""


def check_binary(folder: Path) -> None:
    """Refuse a reconstruction whose binary files end early or hold more than their counts say.

    Args:
        folder: holds ``cameras.bin``, ``images.bin`` and ``points3D.bin``; ``rigs.bin`` and ``frames.bin`` too where
            COLMAP 3.12 or newer wrote it.

    Raises:
        BadScene: naming the file.
    """
    tables = {"cameras": _camera, "images": _image, "points3D": _point, "rigs": _rig, "frames": _frame}
    for name, end_of_record in tables.items():
        file = folder / f"{name}.bin"
        if not file.is_file():
            continue
        data = file.read_bytes()
        if not _is_whole(data, end_of_record):
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
    """camera id uint32, model id int32, width and height uint64, parameters float64."""
    (model,) = struct.unpack_from("<i", data, at + 4)
    camera = pycolmap.Camera.create_from_model_id(1, pycolmap.CameraModelId(model), 1.0, 1, 1)
    return at + 24 + 8 * len(camera.params)


def _image(data: bytes, at: int) -> int:
    """image id uint32, pose, camera id uint32, name up to a zero byte, then points: a count, 24 bytes each."""
    after_name = data.index(b"\0", at + 8 + POSE_BYTES) + 1
    (points,) = COUNT.unpack_from(data, after_name)
    return after_name + COUNT.size + 24 * points


def _point(data: bytes, at: int) -> int:
    """point id uint64, position 3 float64, colour 3 uint8, error float64, then a track: a count, 8 bytes each."""
    (track,) = COUNT.unpack_from(data, at + 43)
    return at + 43 + COUNT.size + 8 * track


def _rig(data: bytes, at: int) -> int:
    """rig id uint32, count of sensors uint32, then 8 bytes each; all but the first may carry a pose after a flag."""
    (sensors,) = struct.unpack_from("<I", data, at + 4)
    at += 8 + 8 * min(sensors, 1)
    for _ in range(1, sensors):
        at += 9 + POSE_BYTES * (data[at + 8] != 0)
    return at


def _frame(data: bytes, at: int) -> int:
    """frame id uint32, rig id uint32, pose, then data: a count uint32, 16 bytes each."""
    (count,) = struct.unpack_from("<I", data, at + 8 + POSE_BYTES)
    return at + 12 + POSE_BYTES + 16 * count
