"""`hdbscan`: the cluster loss alone, then HDBSCAN on the embedding: the stronger baseline of UniC-Lift's Table 5.

The paper's "Contrastive-Lift-3DGS": the same Gaussians and the same loss (eq. 4) as UniC-Lift, without triplets,
without smoothness among neighbours and without codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta

from backend.lift.clusters import ClusterSettings, by_hdbscan
from backend.lift.job import Job, Labelling
from backend.lift.unic_lift import UnicLiftSettings, trained_embedding


@dataclass(frozen=True)
class HdbscanSettings(ClusterSettings):
    """Settings of `hdbscan`; those of the training mean what they mean in :class:`UnicLiftSettings`.

    Attributes:
        dimensions, steps, learning_rate, push, push_margin: as in `unic-lift`, so that the two differ by nothing but
            what the table compares.
        void_is_segment: whether id 0 is a segment of its own in a view. Contrastive-Lift trains on pixels of objects
            alone, and no cluster is asked of the background here: it is found by the masks.
    """

    dimensions: Annotated[int, Meta(ge=1, le=62)] = 12
    steps: Annotated[int, Meta(ge=1)] = 1000
    learning_rate: Annotated[float, Meta(gt=0)] = 0.05
    push: Literal["hinge", "plain"] = "hinge"
    push_margin: Annotated[float, Meta(gt=0)] = 3.0
    void_is_segment: bool = False


def run(job: Job, settings: HdbscanSettings) -> Labelling:
    """Train by the cluster loss and cluster."""
    training = UnicLiftSettings(
        lambda_triplet=0.0,
        lambda_3d=0.0,
        dimensions=settings.dimensions,
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        push=settings.push,
        push_margin=settings.push_margin,
        void_is_segment=settings.void_is_segment,
    )
    embedding = trained_embedding(job, training)
    job.progress("lift", 0.9, "clustering")
    # Clustered as the loss saw it, after the sigmoid.
    squashed = 1 / (1 + np.exp(-embedding))
    return Labelling(by_hdbscan(squashed, job.evidence, settings, job.seed), embedding)
