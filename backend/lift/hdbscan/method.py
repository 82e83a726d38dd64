"""`hdbscan`: the cluster loss alone, then HDBSCAN on the embedding: the stronger baseline of UniC-Lift's Table 5.

This is the paper's "Contrastive-Lift-3DGS": the same Gaussians and the same loss (eq. 4) as UniC-Lift, without
triplets, without smoothness among neighbours and without codes.
"""

from __future__ import annotations

import numpy as np

from backend.lift.embedding.clustering import by_hdbscan
from backend.lift.hdbscan.settings import HdbscanSettings
from backend.lift.task import Labelling, LiftTask
from backend.lift.unic_lift.method import trained
from backend.lift.unic_lift.settings import UnicLiftSettings


def run(task: LiftTask, settings: HdbscanSettings) -> Labelling:
    """Train with the cluster loss and cluster the embedding."""
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
    embedding = trained(task, training).embedding
    task.progress("lift", 0.9, "clustering")
    # Clustered in the space of the loss, after the sigmoid.
    squashed = 1 / (1 + np.exp(-embedding))
    return Labelling(by_hdbscan(squashed, task.evidence, settings, task.seed), embedding)
