"""The colours of labels, the same in pictures and in Blender."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

BACKGROUND = (0.18, 0.18, 0.18)
"""sRGB of label 0."""
GOLDEN = 0.618033988749895
"""The golden ratio less 1: its multiples modulo 1 are spread evenly for any count."""


def colour_of(label: int) -> tuple[float, float, float]:
    """Return the sRGB colour of a label, 0 to 1; consecutive labels get distant hues, the background a dark grey."""
    if label == 0:
        return BACKGROUND
    hue = (label * GOLDEN) % 1.0
    saturation = (0.85, 0.6, 0.95)[label % 3]
    value = (0.95, 0.85, 0.65)[(label // 3) % 3]
    return colorsys.hsv_to_rgb(hue, saturation, value)


def palette(count: int) -> NDArray[np.uint8]:
    """Return the colours of labels 0 to ``count``, (count + 1, 3) uint8."""
    return np.array([[round(255 * channel) for channel in colour_of(label)] for label in range(count + 1)], np.uint8)
