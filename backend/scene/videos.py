"""Reads the frames of videos, upright as a player shows them."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from protocol.errors import BadScene

MAX_PIXELS = 1 << 28
"""Most pixels of a frame."""


def frame_name(number: int) -> str:
    """Return the file name of a frame."""
    return f"frame_{number:06d}.jpg"


def read_frames(file: Path, height: int | None = None) -> Generator[tuple[int, float, NDArray[np.uint8]]]:
    """Yield number, fraction of the video and pixels of each frame, rotated according to the video's metadata.

    Args:
        file: the video.
        height: None for (H, W, 3) uint8 sRGB at full size; else (height, width) uint8 grey, before the rotation.

    Raises:
        BadScene: if the file is not a video, or contains no frame.
    """
    number = -1
    try:
        with av.open(str(file)) as container:
            if not container.streams.video:
                raise BadScene(f"{file} contains no video stream.", "Give a video file.")
            stream = container.streams.video[0]
            if stream.width * stream.height > MAX_PIXELS:
                raise BadScene(
                    f"The video {file} declares frames of {stream.width} x {stream.height} pixels; at most "
                    f"{MAX_PIXELS} pixels are read.",
                    "Convert it to a smaller size.",
                )
            stream.thread_type = "AUTO"
            length = float(container.duration or 0) / 1e6
            for number, frame in enumerate(container.decode(stream)):
                fraction = min(1.0, (frame.time or 0.0) / length) if length else 0.0
                if height is None:
                    pixels = frame.to_ndarray(format="rgb24")
                else:
                    width = max(2, round(frame.width * height / frame.height))
                    if width * height > MAX_PIXELS:
                        raise BadScene(
                            f"The video {file} has frames of {frame.width} x {frame.height} pixels, which is too wide.",
                            "Crop it.",
                        )
                    pixels = frame.reformat(width, height, format="gray").to_ndarray()
                # The rotation is in degrees, counterclockwise.
                yield number, fraction, np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90) % 4), np.uint8)
    except (FFmpegError, OSError, ValueError) as error:
        raise BadScene(
            f"The video {file} cannot be read: {error}.", "Convert it to MP4, or give another video file."
        ) from error
    if number < 0:
        raise BadScene(f"The video {file} contains no frames.", "Give another video file.")


def frame_size(file: Path) -> tuple[int, int]:
    """Return width and height of the first frame, upright.

    Raises:
        BadScene: as :func:`read_frames`.
    """
    frames = read_frames(file)
    try:
        height, width = next(frames)[2].shape[:2]
    finally:
        frames.close()
    return width, height
