"""Background according to a Gaussian's votes for mask 0, before objects are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.lift.evidence.votes import SURE_WEIGHT, Evidence


def background_share(evidence: Evidence) -> NDArray[np.float32]:
    """Return (N,) float32, the share of each Gaussian's weight on mask 0; 1 if it is in no view."""
    zero = evidence.sums(evidence.zero)
    return np.where(evidence.seen, zero / np.maximum(evidence.weight, SURE_WEIGHT), 1.0).astype(np.float32)
