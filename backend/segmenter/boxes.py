"""Removes duplicate masks by non-maximum suppression of their boxes, as in SAM's mask generator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def box_of(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a non-empty (H, W) mask.

    Right and bottom are exclusive.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def best_of_each(boxes: NDArray[np.float64], scores: NDArray[np.float64], overlap: float) -> list[int]:
    """Return the indices of the boxes to keep, best first: none overlaps a better one by an IoU above ``overlap``.

    Args:
        boxes: (N, 4) left, top, right, bottom.
        scores: (N,); ties go to the first.
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
