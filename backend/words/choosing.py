"""Chooses the views in which a detector looks: first a cover of the objects, then where answers are open."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LOOKS = 2.0
"""Sum over the first views of how much of each object is visible."""
LEAST_GAIN = 0.5
"""The cover ends when the next view would add less than this, in visible objects."""


def cover(shown: NDArray[np.float64], most: int, looks: float = LOOKS) -> list[int]:
    """Return views that show every object about ``looks`` times, by greedy cover.

    Args:
        shown: (V, K), how much of each object each view shows.
        most: largest number of views.
        looks: required sum of visible shares per object.
    """
    chosen: list[int] = []
    missing = np.full(shown.shape[1], looks)
    left = np.ones(len(shown), bool)
    while len(chosen) < most and left.any():
        gains = np.where(left, np.minimum(shown, missing).sum(1), -1.0)
        best = int(gains.argmax())
        if gains[best] < LEAST_GAIN:
            break
        chosen.append(best)
        left[best] = False
        missing = np.maximum(0, missing - shown[best])
    return chosen


def next_view(shown: NDArray[np.float64], looked: Sequence[int], uncertain: NDArray[np.float64]) -> int | None:
    """Return the view that shows the uncertain objects best; None if no other view shows any.

    Args:
        shown: (V, K).
        looked: views in which the detector has looked.
        uncertain: (K,), 0 for objects that are decided, more for those that are more open.
    """
    gains = shown @ uncertain
    gains[list(looked)] = 0
    best = int(gains.argmax()) if len(gains) else 0
    return best if len(gains) and gains[best] > 0 else None
