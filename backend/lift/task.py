"""The input and output of a lifting method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backend.lift.embedding.samples import Contributor
from backend.lift.evidence.gather import Voter
from backend.lift.evidence.views import AnyView
from backend.lift.evidence.votes import Evidence
from backend.progress import Progress, Watch, unwatched
from protocol.splats import Splats


class Rendering(Contributor, Voter, Protocol):
    """The interface of :class:`backend.render.Renderer` that lifting requires."""

    device: str


@dataclass(frozen=True)
class LiftTask:
    """The input of every method.

    Attributes:
        splats: the Gaussians, all finite.
        views: the training views; :func:`backend.lift.evidence.views.masked_views` reads their masks.
        renderer: of ``splats``.
        evidence: the votes of all views.
        device: a torch device, for methods that train.
        seed: random seed.
        progress: told under the stage "lift".
        watch: called by methods that train, with access to their embedding.
    """

    splats: Splats
    views: Sequence[AnyView]
    renderer: Rendering
    evidence: Evidence
    device: str
    seed: int
    progress: Progress
    watch: Watch = unwatched


@dataclass(frozen=True)
class Labelling:
    """The output of a method.

    Attributes:
        labels: (N,) int32, clusters above 0 in any order and numbering; 0 is background.
        embedding: (N, d) float32 if the method trains one.
    """

    labels: NDArray[np.int32]
    embedding: NDArray[np.float32] | None = None
