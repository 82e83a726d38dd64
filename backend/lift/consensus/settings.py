"""Settings of `consensus`, shared by every method that joins regions to objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True)
class EvidenceSettings:
    """Settings of every method that uses :mod:`backend.lift.consensus.objects`.

    Attributes:
        maybe_background: Gaussians with at least this share of their weight on mask 0 are background from the start.
            High, because missed detections look like background.
        tau: regions are one object if masks contain them together in more than this share of the views showing both.
        presence: an object has a separate mask in at least this share of the views that show it; less indicates a
            fragment or a false detection. Low, because small objects behind others lose most of their masks to noise.
        smoothing: steps of smoothing along surfaces of one colour (:mod:`backend.lift.consensus.smoothing`); 0 for
            none, -1 to choose by cross-validation between views (:mod:`backend.lift.consensus.smoothing_steps`).
    """

    maybe_background: Annotated[
        Share,
        Meta(
            title="Background Share",
            description="A Gaussian is background if at least this share of its weight in the masks is background. "
            "Lower values remove more.",
        ),
    ] = 0.9
    tau: Annotated[
        Share,
        Meta(
            title="Agreement",
            description="Two regions become one object if masks join them in more than this share of the views that "
            "show both. Higher values split more.",
        ),
    ] = 0.6
    presence: Annotated[
        Share,
        Meta(
            title="Presence",
            description="Share of the views of an object in which it must have its own mask. Higher values drop more "
            "small or doubtful objects.",
        ),
    ] = 0.2
    smoothing: Annotated[
        int,
        Meta(
            ge=-1,
            le=1000,
            title="Smoothing",
            description="Steps that smooth labels along surfaces of one colour. "
            "0 is off; -1 chooses the number for each scene.",
        ),
    ] = -1


@dataclass(frozen=True)
class ConsensusSettings(EvidenceSettings):
    """Settings of `consensus`.

    Attributes:
        voxel: edge of the voxels that bound a supervoxel, in typical distances between neighbouring Gaussians.
        smallest: least number of Gaussians in a supervoxel; smaller ones have too few votes to be compared.
    """

    voxel: Annotated[
        float,
        Meta(
            gt=0,
            le=1000,
            title="Region Size",
            description="Largest edge of the regions that masks are compared on, as a multiple of the distance "
            "between neighbouring Gaussians.",
        ),
    ] = 4.0
    smallest: Annotated[
        int,
        Meta(
            ge=1,
            title="Smallest Region",
            description="Smallest number of Gaussians in a region. Smaller regions are not used to compare masks.",
        ),
    ] = 5
