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
"""What ``decode=bits`` needs beside the defaults; docs/methods.md says what each is worth.

Codes are objects only if all Gaussians of an object carry one code, which the evidence does not need.
"""


@dataclass(frozen=True)
class UnicLiftSettings(EvidenceSettings):
    """Settings of `unic-lift`: first what the paper gives, then what it leaves open, with the reason for our choice.

    Attributes:
        decode: "evidence" joins the codes by the votes of the masks (:mod:`backend.lift.consensus.objects`); "bits"
            is the paper's decode, in which every code is an object. It changes the defaults in :data:`CODES`.
        dimensions: d, the paper's 12.
        lambda_cluster, lambda_triplet, lambda_3d: the paper's weights of eq. (4), (5) and (6).
        triplets: per step, at most; the paper's 3,000.
        triplet_margin: delta of eq. (5); the paper's 1.
        radius: tau of eq. (6), the paper's 0.01. Its unit is not said: here the diagonal of the seen scene, so that
            the method does not depend on the unit of the capture.

        steps: on frozen geometry; the paper's 30,000 reconstruct at the same time. Three times as many did not help.
        lambda_semantic: weight of the semantic value, which tells objects from background; 0 trains none. The paper
            trains a semantic embedding and gives neither its loss nor its weight. Without it, background is the code
            that holds the most weight on mask 0, and what else the background carries becomes objects.
        squash: where the sigmoid stands. "pixel" is the paper's: blended values pass it. "gaussian" blends sigmoids,
            so that all Gaussians carry codes of nearly equal magnitude: where two codes are blended, all bits in which
            they differ then change at the same place.
        start_length: length over which the start is correlated in space, as a share of the diagonal. The paper's
            normal start is drawn for each Gaussian on its own (0), and then parts of an object begin on different
            sides. Longer than an object, neighbours begin on one side and can end on one code.
        rare_codes: decoding by bits, a code is rare if it holds less than this share of what each object would hold if
            all were equal and there were as many as a view has masks. Gaussians with a rare code take the frequent
            code with the fewest different bits: a lookup that the paper does not mention. 0 leaves it out.
        learning_rate: of the embedding. The paper's 1e-4 moves a value by at most 3 in 30,000 steps of Adam; this
            allows the same in the steps taken here, and Adam touches only the rows that a step renders.
        projection_rate: learning rate of the matrix W, which the paper does not name.
        init_scale: standard deviation of the normal start. Small, so that neighbours start on one side together.
        sigmoid_before_cluster: whether eq. (4) sees sigmoid(V). The text shows V, the toy experiment (Fig. 3) the
            sigmoid; without it the push of eq. (4) is unbounded below.
        sigmoid_before_3d: the same for eq. (6), so that codes once decided are not pulled back towards 0.
        push: "hinge" stops pushing two segments apart at ``push_margin``; "plain" is eq. (4) as printed, but for means
            in place of sums. Plain pushing never rests and keeps moving codes that already differ.
        push_margin: squared distance of sigmoids, that is how many bits two segments shall differ in.
        regularise_from: share of the steps after which eq. (5) and (6) begin. The paper waits for the end of
            densification, which frozen geometry is already past.
        void_is_segment: whether id 0 is a segment of its own in a view. Left out, background keeps random codes.
        view_pixels, boundary_pixels: pixels kept of each view, anywhere and at boundaries.
        boundary_band: how far from another segment a pixel still is at the boundary, in mask pixels.
        strongest: Gaussians kept per pixel; 8 hold 85 to 88 percent of the weight.
        pixels: drawn per step from one view.
        neighbours: per Gaussian in eq. (6), the nearest within the radius; in dense places the radius holds hundreds.
        neighbour_sample: Gaussians per step in eq. (6).
        smallest_code: connected pieces of a code with fewer Gaussians are no regions when decoding by evidence; their
            masks place them.
    """

    decode: Annotated[
        Literal["evidence", "bits"],
        Meta(
            title="Decoding",
            description="How objects are made of the trained codes: evidence joins codes by the votes of the masks, "
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
        Count, Meta(title="Boundary Samples", description="Most pixels at boundaries that one step compares.")
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
            description="Fewest Gaussians of a connected piece that can become an object; masks place smaller pieces.",
        ),
    ] = 20

    presets: ClassVar = {"decode": {"bits": CODES}}
    """By setting and value: the defaults that it changes."""
