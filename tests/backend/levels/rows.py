"""Views of one row of pixels, in which pixel i shows Gaussian i alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.levels.votes import LayerVotes, gather_layer_votes
from backend.lift.evidence.views import LayeredView
from backend.render.types import Votes
from backend.scene.mask_sets import layered
from backend.scene.types import Camera

Masks = Sequence[range | list[int]]


class Pixels:
    """A replacement for a renderer."""

    def votes(self, camera: Camera, mask: NDArray[np.int32]) -> Votes:
        label = mask[0].astype(np.int32)
        shown = np.ones(len(label), np.float32)
        return Votes(label, shown, shown, (label == 0).astype(np.float32))


def row_view(masks: Masks, gaussians: int, scores: Sequence[float] | None = None) -> LayeredView:
    """Return a view whose masks hold the given Gaussians; mask i has the id i + 1."""
    slices = np.zeros((len(masks), 1, gaussians), bool)
    for number, mask in enumerate(masks):
        slices[number, 0, list(mask)] = True
    found = layered(slices, None if scores is None else np.array(scores, np.float32))
    return LayeredView("a", Camera(np.eye(4), np.eye(3), gaussians, 1), found.layers, found.scores)


def row_votes(views: Sequence[Masks], gaussians: int, scores: Sequence[Sequence[float]] | None = None) -> LayerVotes:
    """Return the votes of views with these masks."""
    made = [
        row_view(masks, gaussians, None if scores is None else scores[number]) for number, masks in enumerate(views)
    ]
    return gather_layer_votes(Pixels(), made, gaussians)
