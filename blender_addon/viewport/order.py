"""In which order Gaussians are drawn: the farthest first. No bpy in here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from protocol.splats import Floats


def back_to_front(
    means: Floats, counts: Sequence[int], axes: Sequence[NDArray | None], near: float
) -> NDArray[np.float32]:
    """Return the numbers of the Gaussians to draw, (M,) float32, the farthest first.

    Args:
        means: (N, 3), one object after the other, each in its own frame.
        counts: Gaussians of each object.
        axes: of each object the row (4,) that gives the distance along the viewing axis of a point of its frame; None
            for an object that is not drawn.
        near: distance from which on Gaussians are drawn.
    """
    numbers, depths = [], []
    start = 0
    for count, axis in zip(counts, axes, strict=True):
        if axis is not None and count:
            depth = means[start : start + count] @ axis[:3].astype(np.float32) + np.float32(axis[3])
            rows = np.flatnonzero(depth >= near)
            numbers.append(rows + start)
            depths.append(depth[rows])
        start += count
    if not numbers:
        return np.empty(0, np.float32)
    number, depth = np.concatenate(numbers), np.concatenate(depths)
    if not len(depth):
        return np.empty(0, np.float32)
    return number[np.argsort(-depth)].astype(np.float32)
