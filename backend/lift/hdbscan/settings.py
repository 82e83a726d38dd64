"""Settings of `hdbscan`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from backend.lift.embedding.clustering import ClusterSettings


@dataclass(frozen=True)
class HdbscanSettings(ClusterSettings):
    """Settings of `hdbscan`; those of the training mean what they mean in :class:`UnicLiftSettings`.

    Attributes:
        dimensions, steps, learning_rate, push, push_margin: as in `unic-lift`, so that the two differ by nothing but
            what the table compares.
        void_is_segment: whether id 0 is a segment of its own in a view. Contrastive-Lift trains on pixels of objects
            alone, and no cluster is asked of the background here: it is found by the masks.
    """

    dimensions: Annotated[
        int,
        Meta(
            ge=1,
            le=62,
            title="Dimensions",
            description="Values per Gaussian that are trained. More can separate more objects and take longer.",
        ),
    ] = 12
    steps: Annotated[int, Meta(ge=1, title="Steps", description="Length of the training. More steps take longer.")] = (
        1000
    )
    learning_rate: Annotated[
        float,
        Meta(
            gt=0,
            title="Learning Rate",
            description="How far each step moves the trained values. Lower values are slower and steadier.",
        ),
    ] = 0.05
    push: Annotated[
        Literal["hinge", "plain"],
        Meta(
            title="Separation",
            description="How objects are separated: hinge stops at the separation margin, plain never stops.",
        ),
    ] = "hinge"
    push_margin: Annotated[
        float,
        Meta(
            gt=0,
            title="Separation Margin",
            description="How different two objects must become before hinge stops separating them.",
        ),
    ] = 3.0
    void_is_segment: Annotated[
        bool,
        Meta(
            title="Train on Background", description="Whether pixels without a mask are trained on as one more segment."
        ),
    ] = False
