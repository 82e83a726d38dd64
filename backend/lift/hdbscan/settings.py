"""Settings of `hdbscan`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from backend.lift.embedding.clustering import ClusterSettings
from backend.lift.embedding.setting_types import Dimensions, LearningRate, Push, PushMargin, Steps, VoidIsSegment


@dataclass(frozen=True)
class HdbscanSettings(ClusterSettings):
    """Settings of `hdbscan`; training settings have the same meaning as in :class:`UnicLiftSettings`.

    Attributes:
        dimensions, steps, learning_rate, push, push_margin: as in `unic-lift`, so that the two differ only in the
            components that the table compares.
        void_is_segment: whether id 0 is a segment too in a view. Contrastive-Lift trains only on pixels of
            objects, and the background needs no cluster here, because the masks determine it.
    """

    dimensions: Annotated[Dimensions, Meta(le=62)] = 12
    steps: Steps = 1000
    learning_rate: LearningRate = 0.05
    push: Push = "hinge"
    push_margin: PushMargin = 3.0
    void_is_segment: VoidIsSegment = False
