"""How far to smooth: as far as lets one half of the views foretell the other.

Smoothing takes away what is chance in the votes of single Gaussians, and blurs the edges between objects. Which weighs
more depends on the scene: on how noisy its masks are, how many views show a Gaussian, and whether its colours tell its
objects apart. Masks of different views err apart from each other. So the labels that one half of the views gives are
judged by the other half: by the weight with which its masks agree with them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.lift.agreement import Agreement, agreement
from backend.lift.smoothing import Surface, smoothed_after
from backend.lift.votes import Evidence

STOPS = (0, 1, 3, 10, 20)
"""Steps that are tried."""
ENOUGH = 0.7
"""Of the largest gain over no smoothing. The most steps that gain as much are taken: small objects, which need them,
hardly weigh in the sum."""


def steps_of_smoothing(evidence: Evidence, cluster: NDArray[np.int32], graph: Surface) -> int:
    """Return how many steps to smooth for, one of :data:`STOPS`.

    Args:
        evidence: the votes.
        cluster: (N,) int32 as :func:`backend.lift.agreement.agreement` takes them.
        graph: the neighbours.
    """
    even = np.arange(evidence.views) % 2 == 0
    halves = agreement(evidence.of_views(even), cluster), agreement(evidence.of_views(~even), cluster)
    foretold = np.zeros(len(STOPS))
    for one, other in (halves, halves[::-1]):
        foretold += [_agreed(other, labels) for labels in smoothed_after(one, graph, STOPS)]
    gain = foretold - foretold[0]
    if gain.max() <= 0:  # as where there is one view only
        return 0
    return STOPS[int(np.flatnonzero(gain >= ENOUGH * gain.max())[-1])]


def _agreed(found: Agreement, labels: NDArray[np.int32]) -> float:
    """The weight, in pixels, with which masks agree with labels (N,)."""
    return float(found.value[found.cluster == labels[:, None]].sum(dtype=np.float64))
