"""Types of settings that several methods share, with bounds and descriptions."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

Positive = Annotated[float, Meta(gt=0)]
Weight = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]

Dimensions = Annotated[
    Count,
    Meta(
        title="Dimensions",
        description="Values per Gaussian that are trained. More can separate more objects and take longer.",
    ),
]
MaskWeight = Annotated[
    Weight, Meta(title="Mask Weight", description="How strongly masks separate Gaussians of different objects.")
]
Steps = Annotated[Count, Meta(title="Steps", description="Length of the training. More steps take longer.")]
LearningRate = Annotated[
    Positive,
    Meta(
        title="Learning Rate",
        description="How far each step moves the trained values. Lower values are slower and steadier.",
    ),
]
Push = Annotated[
    Literal["hinge", "plain"],
    Meta(
        title="Separation",
        description="How objects are separated: hinge stops at the separation margin, plain never stops.",
    ),
]
PushMargin = Annotated[
    Positive,
    Meta(
        title="Separation Margin",
        description="How different two objects must become before hinge stops separating them.",
    ),
]
VoidIsSegment = Annotated[
    bool,
    Meta(title="Train on Background", description="Whether pixels without a mask are trained on as one more segment."),
]
ViewPixels = Annotated[Count, Meta(title="View Pixels", description="Pixels of each photograph used for training.")]
Strongest = Annotated[
    int,
    Meta(
        ge=1,
        le=64,
        title="Gaussians per Pixel",
        description="Gaussians that are kept for each pixel, the strongest first.",
    ),
]
