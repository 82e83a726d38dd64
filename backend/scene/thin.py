"""Whether regions of a mask are thin lines: outlines, or the soft edges of anti-aliasing and interpolation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

THIN = 0.2
"""Largest share of a thin region's pixels that are away from its edge."""
AWAY = 2
"""Distance from an edge in pixels from which a pixel counts as away from it."""
DARK, BRIGHT = 8, 247
"""Grey levels up to which, and from which on, a pixel of a soft mask is black or white."""
FEWEST_LEVELS = 8
"""Least number of grey levels between black and white at soft edges; fewer may be ids."""


def is_thin(drawn: NDArray[np.bool_]) -> bool:
    """Whether a region (H, W) consists of lines; False if it is empty."""
    total = np.count_nonzero(drawn)
    if not total or min(drawn.shape) <= 2 * AWAY:
        return False
    inner = np.asarray(minimum_filter(drawn, 2 * AWAY + 1, mode="constant", cval=0))
    return np.count_nonzero(inner) <= THIN * total


def has_soft_edges(grey: NDArray[np.uint8]) -> bool:
    """Whether an image (H, W) shows black and white regions with grey levels only along their edges."""
    if grey.max(initial=0) < BRIGHT or grey.min(initial=255) > DARK:
        return False
    between = (grey > DARK) & (grey < BRIGHT)
    return np.count_nonzero(np.bincount(grey[between])) >= FEWEST_LEVELS and is_thin(between)


def thin_ids(ids: NDArray[np.int32]) -> tuple[int, int]:
    """Return how many positive ids a map (H, W) has, and how many of them contain no square of 3 x 3 pixels."""
    same = np.asarray(minimum_filter(ids, 3)) == np.asarray(maximum_filter(ids, 3))
    # A square around a pixel of the border is not in the map.
    same, middle = same[1:-1, 1:-1], ids[1:-1, 1:-1]
    present, solid = np.unique(ids[ids > 0]), np.unique(middle[same & (middle > 0)])
    return len(present), len(present) - len(solid)
