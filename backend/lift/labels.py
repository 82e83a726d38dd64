"""Converts the clusters of a method to labels: numbered by size, with confidences from the votes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.lift.evidence.mask_clusters import cluster_of_each_mask
from backend.lift.evidence.votes import Evidence
from backend.lift.task import Labelling
from backend.lift.types import Lift


def as_lift(found: Labelling, evidence: Evidence, finite: NDArray[np.bool_], name: str, settings: dict) -> Lift:
    """Number the labels by size, compute confidences from the votes, and insert rows for non-finite Gaussians.

    Args:
        found: labels of the F finite Gaussians.
        evidence: their votes.
        finite: (N,) bool, which of N Gaussians these are; the others become background.
        name: of the method.
        settings: of the method.
    """
    label = largest_first(found.labels)
    mask_cluster = cluster_of_each_mask(evidence, label)
    agrees = np.where(evidence.mask > 0, mask_cluster[evidence.mask], 0) == label[evidence.gaussian]
    agreeing = np.where(label[evidence.gaussian] > 0, evidence.own, evidence.zero) * agrees
    share = evidence.sums(agreeing) / np.maximum(evidence.weight, 1e-12)
    of_its_own = np.unique(np.stack([mask_cluster[1:], evidence.mask_view[1:]]), axis=1)[0]

    labels = np.zeros(len(finite), np.int32)
    labels[finite] = label
    confidence = np.zeros(len(finite), np.float32)
    confidence[finite] = np.clip(share, 0, 1)
    embedding = None
    if found.embedding is not None:
        embedding = np.zeros((len(finite), found.embedding.shape[1]), np.float32)
        embedding[finite] = found.embedding
    views = np.bincount(of_its_own, minlength=int(label.max(initial=0)) + 1).astype(np.int32)
    return Lift(labels, confidence, views, name, settings, embedding)


def largest_first(label: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return (N,) int32 with labels above 0 renumbered 1 to K by decreasing number of Gaussians."""
    ids, inverse, count = np.unique(label, return_inverse=True, return_counts=True)
    order = np.lexsort((ids, -count))
    order = order[ids[order] > 0]
    number = np.zeros(len(ids), np.int32)
    number[order] = np.arange(1, len(order) + 1)
    return number[inverse]
