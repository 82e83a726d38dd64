"""Settings of `hdbscan`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from backend.lift.embedding.clustering import ClusterSettings
from backend.lift.embedding.setting_types import Dimensions, LearningRate, Push, PushMargin, Steps, VoidIsSegment


@dataclass(frozen=True)
class HdbscanSettings(ClusterSettings):
    """Settings of `hdbscan`; those of the training mean what they mean in :class:`UnicLiftSettings`.

    Attributes:
        dimensions, steps, learning_rate, push, push_margin: as in `unic-lift`, so that the two differ by nothing but
            what the table compares.
        void_is_segment: whether id 0 is a segment of its own in a view. Contrastive-Lift trains on pixels of objects
            alone, and no cluster is asked of the background here: it is found by the masks.
    """

    dimensions: Annotated[Dimensions, Meta(le=62)] = 12
    steps: Steps = 1000
    learning_rate: LearningRate = 0.05
    push: Push = "hinge"
    push_margin: PushMargin = 3.0
    void_is_segment: VoidIsSegment = False
