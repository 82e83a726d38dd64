"""Boxes of a detector -> how strongly they mean each object of a view."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.words.detecting import Box
from backend.words.views import Shown

LEAST_MATCH = 0.25
"""Least agreement of a box and an object for the box to count for the object."""
LEAST_INSIDE = 0.7
"""An object is in a mask if this share of its visible pixels is, as in Gaussian Grouping's script."""


def strengths(
    boxes: Sequence[Box], view: Shown, masks: Sequence[NDArray[np.bool_]] | None = None
) -> NDArray[np.float64]:
    """Return (K + 1,), per label the largest product of a box's score and its agreement with the object.

    Without masks the agreement is the intersection over union of the box and the object's own box, times the square
    root of the share of the labelled pixels in the box that are the object's: of two objects with the same outline, one
    in front of the other, the one with more visible pixels gets more. With masks it is the share of the object's
    visible pixels in the mask.

    Args:
        boxes: in pixels of ``view.ids``.
        view: what the view shows; objects that it does not show well get 0.
        masks: (H, W) of the thing in each box, at the size of ``view.ids``.
    """
    found = np.zeros(len(view.shown))
    for number, box in enumerate(boxes):
        agreement = _by_box(box, view) if masks is None else _by_mask(masks[number], view.ids, len(found))
        found = np.maximum(found, np.where(agreement >= LEAST_MATCH, box.score * agreement, 0))
    found[view.shown == 0] = 0
    return found


def _by_box(box: Box, view: Shown) -> NDArray[np.float64]:
    own = view.boxes
    width = np.minimum(own[:, 2], box.right) - np.maximum(own[:, 0], box.left)
    height = np.minimum(own[:, 3], box.bottom) - np.maximum(own[:, 1], box.top)
    common = np.maximum(width, 0) * np.maximum(height, 0)
    area = (own[:, 2] - own[:, 0]) * (own[:, 3] - own[:, 1])
    joined = area + (box.right - box.left) * (box.bottom - box.top) - common
    inside = _cut(view.ids, box)
    count = np.bincount(inside[inside > 0], minlength=len(own))
    return common / np.maximum(joined, 1e-9) * np.sqrt(count / max(int(count.sum()), 1))


def _cut(ids: NDArray[np.int32], box: Box) -> NDArray[np.int32]:
    top, left = max(0, int(box.top)), max(0, int(box.left))
    return ids[top : max(top, int(np.ceil(box.bottom))), left : max(left, int(np.ceil(box.right)))]


def _by_mask(mask: NDArray[np.bool_], ids: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    area = np.bincount(ids.ravel(), minlength=count)
    inside = np.bincount(ids[mask], minlength=count)
    share = inside / np.maximum(area, 1)
    share[0] = 0
    return np.where(share >= LEAST_INSIDE, share, 0)
