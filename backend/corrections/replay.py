"""Applies the corrections of an earlier result to new labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.corrections.anchors import anchored
from backend.corrections.solve import State
from backend.lift.types import Lift
from protocol.errors import BadArgument, NotFound
from protocol.result.corrections import Correction
from protocol.result.evidence import RegionEvidence
from protocol.splats import Splats


def replayed(
    splats: Splats, lifted: Lift, corrections: Sequence[Correction]
) -> tuple[Lift, list[Correction], list[str]]:
    """Return the labels under the corrections, the corrections that apply, and a sentence for each that does not.

    Args:
        splats: N Gaussians in the frame of the corrections.
        lifted: their labels, with evidence on regions.
        corrections: the oldest first.

    Raises:
        BadArgument: if there is no evidence.
    """
    if lifted.regions is None:
        raise BadArgument("Objects without masks cannot be corrected.", "Remove the corrections, or give masks.")
    state, notes = replay(splats.means, lifted.regions, corrections)
    labels = state.gaussians
    views = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    shared = min(len(views), len(lifted.views))
    views[:shared] = lifted.views[:shared]
    return replace(lifted, labels=labels, views=views), [each.correction for each in state.taken], notes


def replay(
    means: NDArray[np.float32], evidence: RegionEvidence, corrections: Sequence[Correction]
) -> tuple[State, list[str]]:
    """Return the state after all corrections that apply, and a sentence for each that does not.

    Those that the labels fulfil already are kept, so that later ones cannot break them.
    """
    state = State.start(evidence)
    notes = []
    for each in anchored(means, evidence, corrections):
        if state.is_done(each):
            state.taken.append(each)
            continue
        try:
            state.take(each)
        except (BadArgument, NotFound) as error:
            notes.append(f"{error.sentence} It was removed.")
    return state, notes
