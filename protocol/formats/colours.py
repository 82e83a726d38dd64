"""Colours of meshes: sRGB in this project, linear in glTF and USD."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def linear(colours: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return sRGB bytes as linear values from 0 to 1 (IEC 61966-2-1)."""
    values = colours / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)
