"""Detections in several views -> the log-odds that an object is what a word names.

Views are treated as independent observations of Bernoulli type. For an object that a view shows to the share s, with
detection rate d and false rate f, the log-likelihood ratio is log((1 - d s) / (1 - f)) for no detection and
log(d s / f) + log(e) for one. Here f is the rate at which words that match nothing are detected, bounded from below,
and e weighs the detector's score: with p, the share of such false detections that are at least as strong, e is
p ** -0.5 / 2, a calibrator of p-values (Vovk and Wang 2021, "E-values: Calibration, combination and applications").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DETECTED = 0.5
"""Rate at which a completely visible object is detected under its name."""
LEAST_FALSE = 0.1
"""Lower bound of the false rate: false detections of one object are not independent between views."""
MISTAKEN = 0.5
"""Rate at which an object is detected instead of a similar one that the view shows and that is not detected."""


@dataclass(frozen=True)
class FalseRates:
    """How often words that match nothing are detected.

    Attributes:
        strengths: ascending, the positive strengths of all such words, views and visible objects.
        cells: number of combinations of word, view and visible object.
    """

    strengths: NDArray[np.float64]
    cells: int

    @property
    def rate(self) -> float:
        """How often such a word is detected on a visible object, not below :data:`LEAST_FALSE`."""
        return max(LEAST_FALSE, len(self.strengths) / max(self.cells, 1))

    def weight(self, strength: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the factor e for detections of some strength; 1 if no such word was detected yet."""
        more = len(self.strengths) - np.searchsorted(self.strengths, strength, side="left")
        return 0.5 * ((more + 1) / (len(self.strengths) + 4)) ** -0.5


def false_rates(strengths: NDArray[np.float64], shown: NDArray[np.float64]) -> FalseRates:
    """Return the rates from the strengths (W, V, K) of W words that match nothing; ``shown`` is (V, K)."""
    seen = np.broadcast_to(shown > 0, strengths.shape)
    values = strengths[seen]
    return FalseRates(np.sort(values[values > 0]), int(seen.sum()))


def view_evidence(strengths: NDArray[np.float64], shown: NDArray[np.float64], rates: FalseRates) -> NDArray[np.float64]:
    """Return the log-likelihood ratio of each view and object.

    Args:
        strengths: (..., K), 0 for no detection.
        shown: (..., K), how much of each object is visible; 0 gives no evidence.
        rates: of words that match nothing.

    Returns:
        (..., K) float64.
    """
    detected = DETECTED * shown
    hit = np.log(np.maximum(detected, 1e-9) / rates.rate * rates.weight(strengths))
    missed = np.log((1 - detected) / (1 - rates.rate))
    # A barely visible object that is detected is still evidence for it, and one that is missed is none against it.
    hit, missed = np.maximum(hit, 0), np.minimum(missed, 0)
    return np.where(shown > 0, np.where(strengths > 0, hit, missed), 0.0)


def explained_away(
    strengths: NDArray[np.float64], shown: NDArray[np.float64], evidence: NDArray[np.float64], best: int
) -> NDArray[np.float64]:
    """Return the evidence for the other objects after ``best`` was accepted.

    A detection counts little where ``best`` is visible and not detected in the same view: the detector may have
    mistaken one for the other.

    Args:
        strengths, shown: (V, K).
        evidence: (V, K), from :func:`view_evidence`.
        best: the accepted object.

    Returns:
        (V, K); the column of ``best`` is unchanged.
    """
    mistaken = (shown[:, [best]] > 0) & (strengths[:, [best]] == 0) & (strengths > 0)
    mistaken[:, best] = False
    bounded = np.minimum(evidence, np.maximum(0, np.log(DETECTED / MISTAKEN)))
    return np.where(mistaken, bounded, evidence)
