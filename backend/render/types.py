"""`Contributions`: which Gaussians make a pixel, and with what weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Contributions:
    """The strongest Gaussians of P pixels of one view: the sparse matrix W with rows pixels, columns Gaussians.

    With geometry held still any per-Gaussian quantity renders linearly, V = W v (eq. (3) of UniC-Lift), so these
    two arrays are all that lifting needs of a view.

    Attributes:
        pixels: (P,) int64, row-major pixel numbers ``y * width + x``.
        ids: (P, k) int32, Gaussians, strongest first; 0 where fewer than k contribute.
        weights: (P, k) float32, alpha times transmittance; 0 where fewer than k contribute.
    """

    pixels: NDArray[np.int64]
    ids: NDArray[np.int32]
    weights: NDArray[np.float32]
