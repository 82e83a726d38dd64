"""Reads the frames of videos, upright as a player shows them."""

from __future__ import annotations

from collections.abc import Callable, Container, Generator
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from numpy.typing import NDArray

from protocol.errors import BadScene

MAX_PIXELS = 1 << 28
"""Most pixels of a frame."""


def frame_name(number: int) -> str:
    """Return the file name of a frame."""
    return f"frame_{number:06d}.jpg"


def read_frames(
    file: Path,
    height: int | None = None,
    wanted: Container[int] | None = None,
    damaged: Callable[[], object] = lambda: None,
) -> Generator[tuple[int, float, NDArray[np.uint8]]]:
    """Yield number, fraction of the video and pixels of each frame, rotated according to the video's metadata.

    Args:
        file: the video.
        height: None for (H, W, 3) uint8 sRGB at full size; else (height, width) uint8 grey, before the rotation.
        wanted: numbers of the frames to yield; None for all.
        damaged: called for each part of the video that cannot be decoded and is skipped.

    Raises:
        BadScene: if the file is not a video, or contains no frame.
    """
    number = -1
    try:
        with av.open(str(file)) as container:
            if not container.streams.video:
                raise BadScene(f"{file} contains no video stream.", "Give a video file.")
            # Files may also contain a cover picture or a preview as a stream.
            stream = container.streams.best("video")
            assert isinstance(stream, av.VideoStream)
            if stream.width * stream.height > MAX_PIXELS:
                raise BadScene(
                    f"The video {file} declares frames of {stream.width} x {stream.height} pixels; at most "
                    f"{MAX_PIXELS} pixels are read.",
                    "Convert it to a smaller size.",
                )
            stream.thread_type = "AUTO"
            length = float(container.duration or 0) / 1e6
            for number, frame in enumerate(_decode(container, stream, damaged)):
                if wanted is not None and number not in wanted:
                    continue
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
        reason = getattr(error, "strerror", None) or error
        if isinstance(error, InvalidDataError | EOFError):
            reason = "it is empty, incomplete or not a video"
        raise BadScene(
            f"The video {file} cannot be read: {reason}.",
            "Convert it to MP4, or give another video file.",
        ) from error
    if number < 0:
        raise BadScene(f"The video {file} contains no frames.", "Give another video file.")


def _decode(
    container: InputContainer, stream: av.VideoStream, damaged: Callable[[], object]
) -> Generator[av.VideoFrame]:
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except InvalidDataError:
            damaged()
        else:
            yield from frames


def first_frames(file: Path, most: int) -> tuple[int, tuple[int, int]]:
    """Return how many frames a video has, at most ``most``, and width and height of the first one, upright.

    Raises:
        BadScene: as :func:`read_frames`.
    """
    frames = read_frames(file)
    sizes = []
    try:
        for _, _, pixels in islice(frames, most):
            sizes.append((pixels.shape[1], pixels.shape[0]))
    finally:
        frames.close()
    return len(sizes), sizes[0]
