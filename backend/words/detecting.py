"""What a detector returns, and words that match nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

NULL_WORDS = (
    "submarine",
    "giraffe",
    "volcano",
    "space shuttle",
    "octopus",
    "lighthouse",
    "chainsaw",
    "parachute",
    "windmill",
    "crocodile",
    "tractor",
    "igloo",
)
"""Things that captured scenes rarely contain. Their scores measure what a detector answers where it should not."""


@dataclass(frozen=True)
class Box:
    """A detection in one view.

    Attributes:
        score: 0 to 1, of the detector.
        left, top, right, bottom: pixels of the photograph; right and bottom are exclusive.
    """

    score: float
    left: float
    top: float
    right: float
    bottom: float


class Detector(Protocol):
    """The required interface of detectors; see :class:`backend.words.models.ZeroShotDetector`."""

    def __call__(self, photograph: NDArray[np.uint8], words: Sequence[str]) -> list[list[Box]]:
        """Return the boxes of each word in a photograph (H, W, 3) uint8, sRGB."""
        ...


class BoxMasker(Protocol):
    """The required interface of mask models prompted with boxes."""

    def __call__(self, photograph: NDArray[np.uint8], boxes: Sequence[Box]) -> list[NDArray[np.bool_]]:
        """Return the (H, W) mask of the thing in each box."""
        ...
