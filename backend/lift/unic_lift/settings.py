"""Settings of `unic-lift`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from backend.lift.consensus.settings import EvidenceSettings
from backend.lift.embedding.setting_types import (
    Count,
    Dimensions,
    LearningRate,
    MaskWeight,
    Positive,
    Push,
    PushMargin,
    Steps,
    Strongest,
    ViewPixels,
    VoidIsSegment,
    Weight,
)

CODES: dict[str, float | int | str | bool] = {
    "lambda_semantic": 1.0,
    "void_is_segment": False,
    "squash": "gaussian",
    "learning_rate": 0.1,
    "push": "plain",
    "lambda_3d": 2.0,
    "radius": 0.03,
    "neighbours": 8,
    "start_length": 0.05,
    "init_scale": 0.2,
    "rare_codes": 0.02,
}
"""Defaults that ``decode=bits`` changes; docs/methods.md gives the effect of each.

With this decode, all Gaussians of an object must have the same code. The decode by evidence does not need that.
"""


@dataclass(frozen=True)
class UnicLiftSettings(EvidenceSettings):
    """Settings of `unic-lift`: first those that the paper gives, then those that it does not, with reasons.

    Attributes:
        decode: "evidence" joins the codes by the votes of the masks (:mod:`backend.lift.consensus.objects`); "bits"
            is the paper's decode, in which every code is an object. It sets the defaults of :data:`CODES`.
        dimensions: d, the paper's 12.
        lambda_cluster, lambda_triplet, lambda_3d: the paper's weights of eq. (4), (5) and (6).
        triplets: most triplets per step; the paper's 3,000.
        triplet_margin: delta of eq. (5); the paper's 1.
        radius: tau of eq. (6), the paper's 0.01. The paper gives no unit; here it is the diagonal of the visible scene,
            so that the method does not depend on the unit of the capture.

        steps: with frozen geometry; the paper's 30,000 steps reconstruct at the same time. Three times as many did not
            help.
        lambda_semantic: weight of the semantic value, which separates objects from background; 0 trains no such value.
            The paper trains a semantic embedding and gives neither its loss nor its weight. Without it, background is
            the code with the most weight on mask 0, and other codes of the background become objects.
        squash: where the sigmoid is applied. "pixel": to blended values, as in the paper. "gaussian": before blending,
            so that the codes of all Gaussians have nearly the same magnitude; where two codes are blended, all bits in
            which they differ then change at the same place.
        start_length: length over which the initial values are correlated in space, as a share of the diagonal. With 0,
            as in the paper, each Gaussian has independent values, so bits differ within an object at the start. With a
            length above the size of objects, neighbours start with equal bits and can keep them.
        rare_codes: when decoding by bits, a code is rare if its weight is below this share of the mean weight of an
            object, with as many objects as a view has masks. Gaussians with a rare code get the frequent code with the
            fewest different bits; the paper does not mention such a lookup. 0 disables it.
        learning_rate: of the embedding. The paper's 1e-4 moves a value by at most 3 in 30,000 steps of Adam; this value
            allows the same in fewer steps, of which Adam only changes the rendered rows.
        projection_rate: learning rate of the matrix W; the paper does not give it.
        init_scale: standard deviation of the initial values; small, so that the training decides the bits.
        sigmoid_before_cluster: whether eq. (4) uses sigmoid(V). The paper's text uses V, its toy experiment (Fig. 3)
            the sigmoid; without it the push of eq. (4) is unbounded below.
        sigmoid_before_3d: the same for eq. (6), so that decided codes are not pulled back towards 0.
        push: "hinge" stops pushing two segments apart at ``push_margin``; "plain" is eq. (4) as printed, with means
            instead of sums. The plain push never ends and keeps moving codes that already differ.
        push_margin: squared distance of sigmoids, which is the number of bits in which two segments should differ.
        regularise_from: share of the steps after which eq. (5) and (6) are used. The paper waits for the end of
            densification; with frozen geometry there is none.
        void_is_segment: whether id 0 is a segment in a view. If not, background keeps random codes.
        view_pixels, boundary_pixels: pixels sampled from each view, anywhere and at boundaries.
        boundary_band: largest distance of a boundary pixel from another segment, in mask pixels.
        strongest: Gaussians per pixel; 8 have 85 to 88 percent of the weight.
        pixels: drawn per step from one view.
        neighbours: nearest Gaussians within the radius in eq. (6); dense regions have hundreds within it.
        neighbour_sample: Gaussians per step in eq. (6).
        smallest_code: when decoding by evidence, connected pieces of a code with fewer Gaussians are not regions; their
            masks decide their label.
    """

    decode: Annotated[
        Literal["evidence", "bits"],
        Meta(
            title="Decoding",
            description="How objects are made from the trained codes: evidence joins codes by the votes of the masks, "
            "bits takes every code as an object.",
        ),
    ] = "evidence"
    dimensions: Annotated[Dimensions, Meta(le=62)] = 12
    lambda_cluster: MaskWeight = 0.1
    lambda_triplet: Annotated[
        Weight,
        Meta(title="Boundary Weight", description="How strongly pixels on both sides of a boundary are separated."),
    ] = 0.1
    lambda_3d: Annotated[
        Weight, Meta(title="Neighbour Weight", description="How strongly neighbouring Gaussians are pulled together.")
    ] = 0.1
    triplets: Annotated[
        Count, Meta(title="Boundary Samples", description="Maximum number of boundary pixels that one step compares.")
    ] = 3000
    triplet_margin: Annotated[
        Weight, Meta(title="Boundary Margin", description="How different the two sides of a boundary must become.")
    ] = 1.0
    radius: Annotated[
        Positive,
        Meta(
            title="Neighbour Radius",
            description="Distance within which Gaussians are neighbours, as a share of the diagonal of the scene.",
        ),
    ] = 0.01

    lambda_semantic: Annotated[
        Weight,
        Meta(
            title="Background Weight",
            description="How strongly objects are separated from background by one more trained value. 0 trains none.",
        ),
    ] = 0.0
    squash: Annotated[
        Literal["pixel", "gaussian"],
        Meta(
            title="Bound Values Of",
            description="Whether trained values are limited to the range 0 to 1 for each pixel or for each Gaussian.",
        ),
    ] = "pixel"
    start_length: Annotated[
        Weight,
        Meta(
            title="Start Length",
            description="Distance over which the random start is smooth, as a share of the diagonal of the scene.",
        ),
    ] = 0.0
    rare_codes: Annotated[
        Weight,
        Meta(
            title="Rare Codes",
            description="Codes with less than this share of the weight of an average object join the most similar "
            "code. 0 keeps every code.",
        ),
    ] = 0.0
    steps: Steps = 1000
    learning_rate: LearningRate = 0.05
    projection_rate: Annotated[
        Positive,
        Meta(title="Projection Rate", description="Learning rate of the projection that compares pixels with codes."),
    ] = 0.001
    init_scale: Annotated[
        Positive, Meta(title="Start Spread", description="Spread of the random values at the start of the training.")
    ] = 0.1
    sigmoid_before_cluster: Annotated[
        bool,
        Meta(
            title="Bound Mask Values",
            description="Limit the trained values to the range 0 to 1 before masks are compared.",
        ),
    ] = True
    sigmoid_before_3d: Annotated[
        bool,
        Meta(
            title="Bound Neighbour Values",
            description="Limit the trained values to the range 0 to 1 before neighbours are compared.",
        ),
    ] = True
    push: Push = "hinge"
    push_margin: PushMargin = 3.0
    regularise_from: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            title="Regularise From",
            description="Share of the training after which boundaries and neighbours are compared as well.",
        ),
    ] = 0.0
    void_is_segment: VoidIsSegment = True
    view_pixels: ViewPixels = 4096
    boundary_pixels: Annotated[
        Count, Meta(title="Boundary Pixels", description="Further pixels of each photograph near boundaries of masks.")
    ] = 2048
    boundary_band: Annotated[
        Count,
        Meta(
            title="Boundary Band",
            description="Distance from a boundary within which a pixel counts as near, in pixels of the mask.",
        ),
    ] = 2
    strongest: Strongest = 8
    pixels: Annotated[Count, Meta(title="Pixels per Step", description="Pixels used in one training step.")] = 2048
    neighbours: Annotated[
        Count, Meta(title="Neighbours", description="Nearest Gaussians that each Gaussian is compared with.")
    ] = 4
    neighbour_sample: Annotated[
        Count, Meta(title="Neighbour Sample", description="Gaussians whose neighbours are compared in one step.")
    ] = 4096
    smallest_code: Annotated[
        Count,
        Meta(
            title="Smallest Piece",
            description="Minimum number of Gaussians in a connected piece that can become an object;"
            " masks decide the label of smaller pieces.",
        ),
    ] = 20

    presets: ClassVar = {"decode": {"bits": CODES}}
    """For each setting and value, the defaults that it changes."""
