"""What a method is given and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backend.lift.evidence.gather import Voter
from backend.lift.evidence.views import AnyView
from backend.lift.evidence.votes import Evidence
from backend.lift.label_maps import Contributor
from backend.progress import Progress, Watch, unwatched
from protocol.splats import Splats


class Rendering(Contributor, Voter, Protocol):
    """What lifting asks of :class:`backend.render.Renderer`."""

    device: str


@dataclass(frozen=True)
class LiftTask:
    """One lift: what every method may use.

    Attributes:
        splats: the Gaussians, all finite.
        views: the training views; :func:`backend.lift.evidence.views.masked_views` reads their masks.
        renderer: of ``splats``.
        evidence: the votes of all views.
        device: a torch device, for methods that train.
        seed: of every random draw.
        progress: told under the stage "lift".
        watch: told by methods that train where their embedding can be had.
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
    """What a method makes of a :class:`LiftTask`.

    Attributes:
        labels: (N,) int32, clusters above 0 in any order and numbering; 0 is background.
        embedding: (N, d) float32 where the method trains one.
    """

    labels: NDArray[np.int32]
    embedding: NDArray[np.float32] | None = None
