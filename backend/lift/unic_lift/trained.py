"""The result of the training of `unic-lift`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Trained:
    """Values of N Gaussians.

    Attributes:
        embedding: (N, d) float32.
        semantic: (N,) float32, above 0 for objects and below for background; None if it was not trained.
    """

    embedding: NDArray[np.float32]
    semantic: NDArray[np.float32] | None
