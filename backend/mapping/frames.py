"""Which frames of a video are used: the sharpest of each stretch over which the camera moves equally far."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import laplace
from skimage.registration import phase_cross_correlation

from backend.progress import Progress
from backend.scene.videos import read_frames

FEWEST, MOST = 60, 200
"""Frames that are taken of a video, where it has as many."""
STEP = 0.08
"""Motion between two frames that are taken, as a share of the frame's height, where the bounds allow."""
HEIGHT = 120
"""Height in pixels at which motion and sharpness are measured."""
STANDING = 0.0005
"""Motion that a frame counts at least: a camera that turns about its view or comes closer shifts nothing."""


def choose_frames(video: Path, progress: Progress) -> list[int]:
    """Return the numbers of the frames to use, in order.

    Motion is the shift between one frame and the next by phase correlation (Kuglin and Hines 1975); sharpness is the
    variance of the Laplacian (Pech-Pacheco et al. 2000), at the reduced size.

    Raises:
        BadScene: as :func:`backend.scene.videos.read_frames`.
    """
    sharpness: list[float] = []
    motion: list[float] = []
    before: NDArray[np.float32] | None = None
    for number, fraction, pixels in read_frames(video, HEIGHT):
        if number % 10 == 0:
            progress("poses", 0.1 * fraction, f"frame {number + 1:,} of the video")
        grey = pixels.astype(np.float32)
        sharpness.append(float(laplace(grey).var()))
        motion.append(STANDING + (0.0 if before is None else _shift(before, grey)))
        before = grey
    return pick(np.array(motion), np.array(sharpness))


def pick(motion: NDArray[np.float64], sharpness: NDArray[np.float64]) -> list[int]:
    """Return the sharpest frame of each of equal stretches of motion.

    Args:
        motion: (F,) how far the camera moved before each frame, as a share of the height; positive.
        sharpness: (F,) any scale.
    """
    way = np.cumsum(motion)
    count = int(np.clip(round(way[-1] / STEP), FEWEST, MOST))
    if len(way) <= count:
        return list(range(len(way)))
    stretch = np.minimum((way - way[0]) / (way[-1] - way[0]) * count, count - 1).astype(int)
    return [int(rows[np.argmax(sharpness[rows])]) for s in range(count) if len(rows := np.flatnonzero(stretch == s))]


def _shift(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    if one.std() == 0 or other.std() == 0:
        return 0.0
    shift, _, _ = phase_cross_correlation(one, other)
    return float(np.hypot(*shift)) / HEIGHT
