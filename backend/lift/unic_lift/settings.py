"""Settings of `unic-lift`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from backend.lift.consensus.settings import EvidenceSettings

Positive = Annotated[float, Meta(gt=0)]
Weight = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True)
class UnicLiftSettings(EvidenceSettings):
    """Settings of `unic-lift`: first what the paper gives, then what it leaves open, with the reason for our choice.

    Attributes:
        decode: "evidence" joins the codes by the votes of the masks (:mod:`backend.lift.consensus.objects`); "bits"
            is the paper's plain decode, in which every code is an object.
        dimensions: d, the paper's 12.
        lambda_cluster, lambda_triplet, lambda_3d: the paper's weights of eq. (4), (5) and (6).
        triplets: per step, at most; the paper's 3,000.
        triplet_margin: delta of eq. (5); the paper's 1.
        radius: tau of eq. (6), the paper's 0.01. Its unit is not said: here the diagonal of the seen scene, so that
            the method does not depend on the unit of the capture.

        steps: on frozen geometry; the paper's 30,000 reconstruct at the same time. Three times as many did not help.
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

    decode: Literal["evidence", "bits"] = "evidence"
    dimensions: Annotated[int, Meta(ge=1, le=62)] = 12
    lambda_cluster: Weight = 0.1
    lambda_triplet: Weight = 0.1
    lambda_3d: Weight = 0.1
    triplets: Count = 3000
    triplet_margin: Weight = 1.0
    radius: Positive = 0.01

    steps: Count = 1000
    learning_rate: Positive = 0.05
    projection_rate: Positive = 0.001
    init_scale: Positive = 0.1
    sigmoid_before_cluster: bool = True
    sigmoid_before_3d: bool = True
    push: Literal["hinge", "plain"] = "hinge"
    push_margin: Positive = 3.0
    regularise_from: Annotated[float, Meta(ge=0, le=1)] = 0.0
    void_is_segment: bool = True
    view_pixels: Count = 4096
    boundary_pixels: Count = 2048
    boundary_band: Count = 2
    strongest: Annotated[int, Meta(ge=1, le=64)] = 8
    pixels: Count = 2048
    neighbours: Count = 4
    neighbour_sample: Count = 4096
    smallest_code: Count = 20
