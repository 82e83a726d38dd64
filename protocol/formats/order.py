"""Sorts Gaussians along a space-filling curve, so that neighbours in a file are neighbours in space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.splats import Floats

BITS = 21
"""Bits per axis; three axes fit into 64 bits."""


def morton_order(means: Floats) -> NDArray[np.intp]:
    """Return the row order of points (N, 3) by Morton code: the interleaved bits of x, y and z."""
    if not len(means):
        return np.zeros(0, np.intp)
    low, high = means.min(0).astype(np.float64), means.max(0).astype(np.float64)
    cells = (means - low) / np.where(high > low, high - low, 1) * ((1 << BITS) - 1)
    spread = [_spread(cells[:, axis].astype(np.uint64)) for axis in range(3)]
    return np.argsort(spread[0] | spread[1] << np.uint64(1) | spread[2] << np.uint64(2), kind="stable")


def _spread(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return each 21-bit number with two zero bits inserted after each bit."""
    for shift, mask in (
        (32, 0x1F00000000FFFF),
        (16, 0x1F0000FF0000FF),
        (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    ):
        values = (values | values << np.uint64(shift)) & np.uint64(mask)
    return values
