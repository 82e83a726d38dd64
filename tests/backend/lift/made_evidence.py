"""Evidence written by hand, and Gaussians for it."""

from __future__ import annotations

import numpy as np

from backend.lift.evidence.gather import gather_evidence
from backend.lift.evidence.views import MaskedView, masked_views
from backend.lift.evidence.votes import Evidence
from backend.render.types import Votes
from backend.scene.types import Camera
from protocol.sh import SH0
from protocol.splats import Splats


def evidence_from_masks(masks: np.ndarray, weight: float = 1.0) -> Evidence:
    """Return the evidence in which Gaussian i shows itself in view v wholly in mask ``masks[v, i]``; -1 is hidden."""
    masks = np.asarray(masks, np.int32)

    class Teller:
        view = -1

        def votes(self, camera: Camera, mask: np.ndarray) -> Votes:
            self.view += 1
            label = masks[self.view]
            seen = np.where(label >= 0, weight, 0).astype(np.float32)
            return Votes(label, seen, seen, np.where(label == 0, seen, 0).astype(np.float32))

    camera = Camera(np.eye(4), np.eye(3), masks.shape[1], 1)
    views = [MaskedView(str(v), camera, np.arange(row.max() + 1, dtype=np.int32)[None]) for v, row in enumerate(masks)]
    return gather_evidence(Teller(), masked_views(views), masks.shape[1])


# Gaussians 0-3 are one object, 4-7 another, 8-11 background; in view 1 the first object was missed, in view 2 the two
# were drawn as one, in view 3 the background got a false mask.
MASKS = np.array(
    [
        [1, 1, 1, 1, 2, 2, 2, 2, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0],
        [2, 2, 2, 2, 1, 1, 1, 1, 3, 3, 3, 3],
        [2, 2, 2, 2, 3, 3, 3, 3, 0, 0, 0, 0],
        [1, 1, 1, 1, 4, 4, 4, 4, 0, 0, 0, 0],
        [1, 1, 1, 1, 4, 4, 4, 4, 0, 0, 0, 0],
    ]
)
TRUTH = np.repeat([1, 2, 0], 4)


def in_a_row(count: int, grey: np.ndarray) -> Splats:
    """Gaussians one unit apart, of the given brightness."""
    means = np.stack([np.arange(float(count)), np.zeros(count), np.zeros(count)], 1).astype(np.float32)
    quats = np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1))
    sh = np.repeat(grey / SH0, 3).reshape(count, 1, 3).astype(np.float32)
    return Splats(means, quats, np.full((count, 3), -2, np.float32), np.zeros(count, np.float32), sh)
