"""Selects frames of a video: the sharpest frame of each segment of equal camera motion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import laplace
from skimage.registration import phase_cross_correlation

from backend.progress import Progress
from backend.scene.videos import read_frames

FEWEST, MOST = 60, 200
"""Least and most frames that are selected, if the video has as many."""
STEP = 0.08
"""Motion between two selected frames, as a share of the frame's height, unless that exceeds these limits."""
HEIGHT = 120
"""Image height in pixels for measuring motion and sharpness."""
STANDING = 0.0005
"""Motion added per frame: a camera that rolls about its axis or moves forward causes no shift."""


def choose_frames(video: Path, progress: Progress, damaged: Callable[[], object] = lambda: None) -> list[int]:
    """Return the numbers of the selected frames, in order.

    Motion is the shift between consecutive frames by phase correlation (Kuglin and Hines 1975); sharpness is the
    variance of the Laplacian (Pech-Pacheco et al. 2000), at the reduced size.

    Args:
        damaged: as for :func:`backend.scene.videos.read_frames`.

    Raises:
        BadScene: as :func:`backend.scene.videos.read_frames`.
    """
    sharpness: list[float] = []
    motion: list[float] = []
    before: NDArray[np.float32] | None = None
    for number, fraction, pixels in read_frames(video, HEIGHT, damaged=damaged):
        if number % 10 == 0:
            progress("poses", 0.1 * fraction, f"frame {number + 1:,} of the video")
        grey = pixels.astype(np.float32)
        sharpness.append(float(laplace(grey).var()))
        motion.append(STANDING + (0.0 if before is None else _shift(before, grey)))
        before = grey
    return pick(np.array(motion), np.array(sharpness))


def pick(motion: NDArray[np.float64], sharpness: NDArray[np.float64]) -> list[int]:
    """Return the sharpest frame of each segment of equal motion.

    Args:
        motion: (F,) motion before each frame, as a share of the height; positive.
        sharpness: (F,) in any unit.
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
