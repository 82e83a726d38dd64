"""The number of smoothing steps, by cross-validation: one half of the views predicts the other.

Smoothing takes away what is chance in the votes of single Gaussians, and blurs the edges between objects. Which weighs
more depends on the scene: on how noisy its masks are, how many views show a Gaussian, and whether its colours tell its
objects apart. Masks of different views err apart from each other. So the labels that one half of the views gives are
judged by the other half: by the weight with which its masks agree with them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.lift.consensus.smoothing import Surface, smoothed_after
from backend.lift.evidence.agreement import Agreement, agreement
from backend.lift.evidence.votes import Evidence

STEPS_TRIED = (0, 1, 3, 10, 20)
"""Steps that are tried."""
ENOUGH = 0.7
"""Of the largest gain over no smoothing. The most steps that gain as much are taken: small objects, which need them,
hardly weigh in the sum."""


def choose_smoothing_steps(evidence: Evidence, cluster: NDArray[np.int32], graph: Surface) -> int:
    """Return how many steps to smooth for, one of :data:`STEPS_TRIED`.

    Args:
        evidence: the votes.
        cluster: (N,) int32 as :func:`backend.lift.evidence.agreement.agreement` takes them.
        graph: the neighbours.
    """
    even = np.arange(evidence.views) % 2 == 0
    halves = agreement(evidence.of_views(even), cluster), agreement(evidence.of_views(~even), cluster)
    predicted = np.zeros(len(STEPS_TRIED))
    for one, other in (halves, halves[::-1]):
        predicted += [_agreed(other, labels) for labels in smoothed_after(one, graph, STEPS_TRIED)]
    gain = predicted - predicted[0]
    if gain.max() <= 0:  # as where there is one view only
        return 0
    return STEPS_TRIED[int(np.flatnonzero(gain >= ENOUGH * gain.max())[-1])]


def _agreed(found: Agreement, labels: NDArray[np.int32]) -> float:
    """The weight, in pixels, with which masks agree with labels (N,)."""
    return float(found.value[found.cluster == labels[:, None]].sum(dtype=np.float64))
