"""Settings of `contrastive`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from backend.lift.embedding.clustering import ClusterSettings
from backend.lift.embedding.setting_types import (
    Count,
    Dimensions,
    LearningRate,
    MaskWeight,
    Strongest,
    ViewPixels,
    Weight,
)


@dataclass(frozen=True)
class ContrastiveSettings(ClusterSettings):
    """Settings of `contrastive`: first those of the paper, then those that frozen geometry requires, with the reason.

    Attributes:
        dimensions: 16 in the paper.
        smallest_mask: masks with more pixels than this are contrasted, 100 in the paper; smaller masks and id 0 are
            left out of the loss.
        lambda_clustering: weight of eq. (3), 1e-6 in the paper for sums over photographs of about a million pixels.
        nearest, farthest: K and L of eq. (4), 2 and 5 in the paper. The nearest exclude the Gaussian itself.
        lambda_near, lambda_far: weights of eq. (4), 0.05 and 0.15 in the paper.
        iterations, cluster_every, spatial_every: 30,000, 50 and 100 in the paper. Iterations with neither loss only
            train geometry and colour in the paper, and cost nothing here: 900 steps remain.
        anchors: M of eq. (4), not in the paper; the authors' code uses 1,000.
        photograph: the number of pixels that eq. (3) is scaled to, whatever the size of the masks; otherwise the ratio
            between eq. (3) and eq. (4) would depend on the size of the masks.
        learning_rate: the published 0.0025 is for an Adam that also runs in the 49 iterations without a gradient: with
            one gradient in 50 its second moment is 50 times smaller, so its steps are sqrt(50) = 7 times longer than
            those of the Adam here, which pauses with its rows.
        far_pool: Gaussians among which the farthest are searched, drawn in every step, because all pairs cost M N.
        view_pixels: pixels used per view, each representing several; the paper renders all.
        strongest: Gaussians used per pixel; 8 have 85 to 88 percent of the weight.
    """

    dimensions: Annotated[Dimensions, Meta(le=64)] = 16
    smallest_mask: Annotated[
        int,
        Meta(ge=0, title="Smallest Mask", description="Masks of at most this many pixels are not used in training."),
    ] = 100
    lambda_clustering: MaskWeight = 1e-6
    nearest: Annotated[
        Count, Meta(title="Near Neighbours", description="Number of nearest Gaussians that are pulled together.")
    ] = 2
    farthest: Annotated[
        Count, Meta(title="Far Gaussians", description="Number of distant Gaussians that are pushed apart.")
    ] = 5
    lambda_near: Annotated[
        Weight, Meta(title="Near Weight", description="How strongly near Gaussians are pulled together.")
    ] = 0.05
    lambda_far: Annotated[
        Weight, Meta(title="Far Weight", description="How strongly distant Gaussians are pushed apart.")
    ] = 0.15
    iterations: Annotated[
        Count, Meta(title="Iterations", description="Length of the training. More iterations take longer.")
    ] = 30_000
    cluster_every: Annotated[
        Count, Meta(title="Mask Interval", description="Iterations between two steps that use masks.")
    ] = 50
    spatial_every: Annotated[
        Count, Meta(title="Neighbour Interval", description="Iterations between two steps that use neighbours.")
    ] = 100
    anchors: Annotated[Count, Meta(title="Anchors", description="Gaussians whose neighbours are used in one step.")] = (
        1000
    )

    photograph: Annotated[
        Count,
        Meta(
            title="Photograph Pixels",
            description="Number of pixels that the loss of a mask is scaled to, so that the size of masks does not "
            "matter.",
        ),
    ] = 1_000_000
    learning_rate: LearningRate = 0.0175
    far_pool: Annotated[
        Count,
        Meta(title="Far Pool", description="Number of Gaussians that the distant ones are chosen from in one step."),
    ] = 4096
    view_pixels: ViewPixels = 4096
    strongest: Strongest = 8
