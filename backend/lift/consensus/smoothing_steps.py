"""Chooses the number of smoothing steps by cross-validation: one half of the views predicts the other.

Smoothing removes noise in the votes of single Gaussians, but blurs the edges between objects. The best amount depends
on the noise of the masks, the number of views per Gaussian, and whether colours separate the objects. Masks of
different views have independent errors, so labels from one half of the views are scored with the other half: by the
weight with which its masks agree with them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.lift.consensus.smoothing import Surface, smoothed_after
from backend.lift.evidence.agreement import Agreement, agreement
from backend.lift.evidence.votes import Evidence

STEPS_TRIED = (0, 1, 3, 10, 20)
"""Candidate numbers of steps."""
ENOUGH = 0.7
"""Share of the largest gain over no smoothing. The largest number of steps with this gain is chosen, because small
objects need more steps but hardly affect the sum."""


def choose_smoothing_steps(evidence: Evidence, cluster: NDArray[np.int32], graph: Surface) -> int:
    """Return the number of smoothing steps, one of :data:`STEPS_TRIED`.

    Args:
        evidence: the votes.
        cluster: (N,) int32, as for :func:`backend.lift.evidence.agreement.agreement`.
        graph: the neighbour graph.
    """
    even = np.arange(evidence.views) % 2 == 0
    halves = agreement(evidence.of_views(even), cluster), agreement(evidence.of_views(~even), cluster)
    predicted = np.zeros(len(STEPS_TRIED))
    for one, other in (halves, halves[::-1]):
        predicted += [_agreed(other, labels) for labels in smoothed_after(one, graph, STEPS_TRIED)]
    gain = predicted - predicted[0]
    if gain.max() <= 0:  # for example with a single view
        return 0
    return STEPS_TRIED[int(np.flatnonzero(gain >= ENOUGH * gain.max())[-1])]


def _agreed(found: Agreement, labels: NDArray[np.int32]) -> float:
    """Return the weight, in pixels, with which masks agree with labels (N,)."""
    return float(found.value[found.cluster == labels[:, None]].sum(dtype=np.float64))
