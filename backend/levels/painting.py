"""Converts overlapping masks to one id map per view, at the requested level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.levels.overlap import Overlap

PURE = 0.7
"""A mask shows a group if this share of what it covers belongs to the group."""
BACKGROUND_IN_MASK = 0.3
"""Weight of background inside a mask, which mostly lies behind the object or at its edge."""
COVERED = 0.7
"""A mask, or all masks of a group together, represent the group in a view if they cover this share of it."""


def painted(
    overlap: Overlap, background: NDArray[np.bool_], left_out: NDArray[np.bool_] | None = None
) -> NDArray[np.int32]:
    """Return (M + 1,) int32, the group that each mask is painted as, from 1; 0 if it is not painted.

    Among the masks that show a group in a view the best one is painted, by its fit and its trust; if none covers most
    of the group, all of them are painted if they do together.

    Args:
        overlap: of the masks and C groups.
        background: (C,) bool, groups that are not painted.
        left_out: (M + 1,) bool, masks that are not painted either.
    """
    group, mask, iou = overlap.pairs
    masks = len(overlap.area)
    counted = np.asarray(overlap.pixels[group, mask]).ravel()
    weighed = np.where(background[group], BACKGROUND_IN_MASK, 1.0) * counted
    within = np.bincount(mask, weighed, masks)
    shows = ~background[group] & (weighed >= PURE * within[mask])
    if left_out is not None:
        shows &= ~left_out[mask]
    group, mask, iou, counted = group[shows], mask[shows], iou[shows], counted[shows]
    view = overlap.mask_view[mask]
    share = counted / np.maximum(overlap.shown[group, view], 1e-12)
    cell = group * overlap.shown.shape[1] + view
    merit = iou * overlap.trust[mask] * (share >= COVERED)
    order = np.lexsort((mask, -merit, cell))
    result = np.zeros(masks, np.int32)
    first = order[np.append(True, np.diff(cell[order]) > 0)] if len(order) else order
    whole = merit[first] > 0
    result[mask[first[whole]]] = group[first[whole]] + 1
    rest = ~np.isin(cell, cell[first[whole]])
    together = np.bincount(cell[rest], share[rest], overlap.shown.size) >= COVERED
    several = rest & together[cell]
    result[mask[several]] = group[several] + 1
    return result
