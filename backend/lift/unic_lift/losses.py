"""The losses of UniC-Lift (2025), equations (4) to (6), on rendered embeddings.

Equation numbers are the paper's. Sums of the paper are means here, so that losses, and the meaning of the paper's
lambdas, do not depend on the number of sampled pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from backend.lift.embedding.segments import segment_means


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Return (A, B) squared distances between the rows of (A, d) and (B, d), by the binomial formula."""
    return ((a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T).clamp(min=0)


def cluster_loss(rendered: Tensor, segment: Tensor, margin: float | None) -> Tensor:
    """Pull pixels of a segment towards its mean, and push means apart: eq. (4).

        mean over segments i, over pixels u in i: |V(u) - m_i|^2  -  push

    Args:
        rendered: (P, d) rendered embeddings of pixels of one view, after the sigmoid if one is used.
        segment: (P,) int64, segment of each pixel, 0 to S - 1.
        margin: None for the paper's push, the mean squared distance of two means, which is unbounded without a
            sigmoid. Otherwise means are only pushed up to this squared distance:
            ``- push`` is the sum over ordered pairs of ``max(0, margin - |m_i - m_j|^2)``, divided by S.
    """
    mean, count = segment_means(rendered, segment, int(segment.max()) + 1)
    present = count > 0
    spread = ((rendered - mean[segment]) ** 2).sum(1)
    # The weight of a pixel is 1 / |segment|, so that a small object has the same weight as the floor.
    pull = (spread / count[segment]).sum() / present.sum()
    mean = mean[present]
    distance = squared_distances(mean, mean)
    apart = ~torch.eye(len(mean), dtype=torch.bool, device=mean.device)
    if margin is None:
        push = -distance[apart].sum() / max(int(apart.sum()), 1)
    else:
        push = (margin - distance)[apart].clamp(min=0).sum() / len(mean)
    return pull + push


def draw_triplets(
    segment: Tensor, boundary: Tensor, most: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return pixel numbers (T,) of anchors, of positives in their segment and of negatives in another one.

    Anchors are any pixels; positives and negatives are pixels at segment boundaries, which are hard ones, as in the
    paper.

    Args:
        segment: (P,) int64.
        boundary: (P,) bool.
        most: largest T.
        generator: for the draws.
    """
    pool = torch.nonzero(boundary)[:, 0]
    if len(pool) < 2:
        return pool[:0], pool[:0], pool[:0]

    def draw(count: int) -> Tensor:
        return torch.rand(count, generator=generator, device=segment.device)

    anchor = torch.randperm(len(segment), generator=generator, device=segment.device)
    # Sorted by segment, so that the boundary pixels of each segment are contiguous.
    pool = pool[torch.argsort(segment[pool], stable=True)]
    size = torch.bincount(segment[pool], minlength=int(segment.max()) + 1)
    first = size.cumsum(0) - size
    own = size[segment[anchor]]
    place = first[segment[anchor]] + (draw(len(anchor)) * own).long()
    positive = pool[place.clamp(max=len(pool) - 1)]
    negative = pool[(draw(len(anchor)) * len(pool)).long()]
    good = (own > 0) & (anchor != positive) & (segment[anchor] != segment[negative])
    keep = torch.nonzero(good)[:most, 0]
    return anchor[keep], positive[keep], negative[keep]


def triplet_loss(projected: Tensor, triplets: tuple[Tensor, Tensor, Tensor], margin: float) -> Tensor:
    """Return the mean over triplets of max(0, |a - p|^2 - |a - n|^2 + margin): eq. (5); 0 without triplets.

    Args:
        projected: (P, d) ``W sigmoid(V)`` of the pixels.
        triplets: pixel numbers (T,) of anchors, positives and negatives.
        margin: the paper's delta.
    """
    a, p, n = (projected[rows] for rows in triplets)
    if len(a) == 0:
        return projected.sum() * 0
    return (((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + margin).clamp(min=0).mean()


def neighbour_loss(embedding: Tensor, near: Tensor, weight: Tensor) -> Tensor:
    """Return the mean squared difference between Gaussians and their neighbours in space: eq. (6).

    Args:
        embedding: (G, d) of some Gaussians.
        near: (G, k, d) of the neighbours of each.
        weight: (G, k), 1 for a neighbour within the radius, else 0.
    """
    difference = ((embedding[:, None] - near) ** 2).sum(2)
    return (difference * weight).sum() / weight.sum().clamp(min=1)


def semantic_loss(logit: Tensor, on_object: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean binary cross-entropy between rendered semantic values and the area of masks.

    The paper trains a semantic embedding in addition to that of instances, but does not give its loss; this is the
    usual one.

    Args:
        logit: (P,) rendered semantic values, above 0 for objects.
        on_object: (P,) bool, pixels on a mask.
        weight: (P,) of each pixel.
    """
    loss = binary_cross_entropy_with_logits(logit, on_object.to(logit.dtype), weight, reduction="sum")
    return loss / weight.sum()
