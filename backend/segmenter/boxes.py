"""Which of many masks show the same: non-maximum suppression of their boxes, as SAM's mask generator does it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def box_of(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of what is drawn in an (H, W) mask, which is not empty.

    Right and bottom lie behind the last pixel.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def best_of_each(boxes: NDArray[np.float64], scores: NDArray[np.float64], overlap: float) -> list[int]:
    """Return the boxes to keep, best first: none overlaps a better one by an IoU above ``overlap``.

    Args:
        boxes: (N, 4) left, top, right, bottom.
        scores: (N,); of equal ones the first counts as better.
    """
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[left, :2])
        high = np.minimum(boxes[best, 2:], boxes[left, 2:])
        common = np.prod(np.maximum(0, high - low), axis=1)
        left = left[common <= overlap * (areas[best] + areas[left] - common)]
    return kept
