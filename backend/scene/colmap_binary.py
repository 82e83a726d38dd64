"""Are COLMAP's binary files whole? COLMAP's own reader does not ask.

It takes a count from the file, reserves that much memory and goes on reading past the end, so a file that is cut off
gives made-up cameras at best and takes all memory at worst. The formats are those of COLMAP's ``reconstruction_io``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from protocol.errors import BadScene

PARAMS = (3, 4, 4, 5, 8, 8, 12, 5, 4, 5, 12)
"""Parameters of each camera model, by COLMAP's model id."""
COUNT = struct.Struct("<Q")


def check_binary(folder: Path) -> None:
    """Refuse a reconstruction whose binary files end early or hold more than their counts say.

    Args:
        folder: holds ``cameras.bin``, ``images.bin`` and ``points3D.bin``.

    Raises:
        BadScene: naming the file.
    """
    for name, end_of_record in (("cameras.bin", _camera), ("images.bin", _image), ("points3D.bin", _point)):
        file = folder / name
        data = file.read_bytes()
        if not _is_whole(data, end_of_record):
            raise BadScene(
                f"{file} is cut off or damaged: its {len(data)} bytes do not hold the records it counts.",
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
    except (struct.error, ValueError, IndexError):
        return False
    return position == len(data)


def _camera(data: bytes, at: int) -> int:
    """camera id uint32, model id int32, width and height uint64, parameters float64."""
    (model,) = struct.unpack_from("<i", data, at + 4)
    if model < 0:
        raise ValueError
    return at + 24 + 8 * PARAMS[model]


def _image(data: bytes, at: int) -> int:
    """image id uint32, quaternion and translation 7 float64, camera id uint32, name to a zero byte, then points."""
    after_name = data.index(b"\0", at + 64) + 1
    (points,) = COUNT.unpack_from(data, after_name)
    return after_name + COUNT.size + 24 * points


def _point(data: bytes, at: int) -> int:
    """point id uint64, position 3 float64, colour 3 uint8, error float64, then a track of 8 bytes each."""
    (track,) = COUNT.unpack_from(data, at + 43)
    return at + 43 + COUNT.size + 8 * track
