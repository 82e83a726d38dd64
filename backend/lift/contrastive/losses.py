"""The losses of Contrastive Gaussian Clustering (Silva et al. 2024), equations (3) and (4), on unit features.

Equation numbers are the paper's. Details that its text omits (the factor and range of the temperature, and that no
gradient passes through it) follow the authors' published training code.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from backend.lift.embedding.segments import segment_means

SMOOTHING = 100.0
"""Epsilon in the temperature, as in the paper."""
FACTOR = 10.0
COLDEST, WARMEST = 0.1, 1.0
"""Range that temperatures are clipped to, after multiplication by the factor."""


def temperatures(features: Tensor, segment: Tensor, centroid: Tensor, size: Tensor) -> Tensor:
    """Return the (S,) temperatures phi: ``sum |f - centroid| / (N log(N + 100))``, times 10, within [0.1, 1].

    Args:
        features: (P, d).
        segment: (P,) int64.
        centroid: (S, d).
        size: (S,), N of each segment; larger than its number of pixels here if they are a sample.
    """
    distance = (features - centroid[segment]).norm(dim=1)
    total = torch.zeros_like(size).index_add(0, segment, distance)
    count = torch.zeros_like(size).index_add(0, segment, torch.ones_like(distance))
    mean = total / count.clamp(min=1)
    return (FACTOR * mean / torch.log(size + SMOOTHING)).clamp(COLDEST, WARMEST).detach()


def contrastive_loss(features: Tensor, segment: Tensor, scale: float = 1.0) -> Tensor:
    """Attract pixels to the centroid of their segment and repel them from the other centroids: eq. (3).

    Centroids are means of unit features and not normalised again; gradients pass through them.

    Args:
        features: (P, d), unit rendered features of pixels of one view.
        segment: (P,) int64, segment of each pixel, 0 to S - 1, each with at least one pixel.
        scale: number of pixels of the view that each of these represents; the paper sums over all.
    """
    centroid, count = segment_means(features, segment, int(segment.max()) + 1)
    phi = temperatures(features, segment, centroid, scale * count)
    logits = features @ centroid.T / phi
    return scale * cross_entropy(logits, segment, reduction="sum") / len(centroid)


def spatial_loss(own: Tensor, near: Tensor, far: Tensor, lambda_near: float, lambda_far: float) -> Tensor:
    """Attract Gaussians to their nearest neighbours and repel them from the farthest: eq. (4), H is the sigmoid.

        lambda_near mean H(1 - f_j . f_i) over the nearest + lambda_far mean H(f_j . f_i) over the farthest

    Args:
        own: (M, d), unit features of some Gaussians.
        near: (M, K, d), unit features of the nearest others of each.
        far: (M, L, d), unit features of the farthest of each.
        lambda_near, lambda_far: weights.
    """
    alike = (own[:, None] * near).sum(2)
    unlike = (own[:, None] * far).sum(2)
    return lambda_near * torch.sigmoid(1 - alike).mean() + lambda_far * torch.sigmoid(unlike).mean()
