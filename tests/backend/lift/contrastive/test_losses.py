"""The losses of Contrastive Gaussian Clustering against a transcription of their formulas, values and gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from backend.lift.contrastive.losses import contrastive_loss, spatial_loss

SEGMENT = torch.tensor([0, 2, 0, 1, 2, 1, 1, 0, 2, 2])


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def equation_3(features: Tensor, segment: list[int], size: float) -> Tensor:
    """Eq. (3), one pixel at a time; ``size`` is the number of pixels that each represents."""
    clusters = [[q for q, s in enumerate(segment) if s == p] for p in range(max(segment) + 1)]
    centroids = [sum(features[q] for q in cluster) / len(cluster) for cluster in clusters]
    phis = []
    for cluster, centroid in zip(clusters, centroids, strict=True):
        n = size * len(cluster)
        spread = size * sum(float((features[q] - centroid).detach().norm()) for q in cluster)
        phis.append(min(max(10 * spread / (n * math.log(n + 100)), 0.1), 1.0))
    total = torch.zeros((), dtype=torch.float64)
    for p, cluster in enumerate(clusters):
        for q in cluster:
            parts = [torch.exp(features[q] @ c / phi) for c, phi in zip(centroids, phis, strict=True)]
            total = total - size * torch.log(parts[p] / sum(parts))
    return total / len(clusters)


def equation_4(own: Tensor, near: Tensor, far: Tensor) -> Tensor:
    """Eq. (4), one pair at a time, with the paper's weights."""
    m, k, far_count = len(own), near.shape[1], far.shape[1]
    total = torch.zeros((), dtype=torch.float64)
    for j in range(m):
        for i in range(k):
            total = total + 0.05 / (m * k) / (1 + torch.exp(-(1 - own[j] @ near[j, i])))
        for i in range(far_count):
            total = total + 0.15 / (m * far_count) / (1 + torch.exp(-(own[j] @ far[j, i])))
    return total


@pytest.mark.parametrize(("spread", "scale"), [(3.0, 1.0), (3.0, 250.0), (0.01, 1.0)])
def test_contrastive_loss_and_gradient_are_those_of_eq_3(spread: float, scale: float) -> None:
    start = random(3, 4)[SEGMENT] + spread * random(10, 4, seed=1)
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    value = contrastive_loss(normalize(ours), SEGMENT, scale)
    expected = equation_3(theirs / theirs.norm(dim=1, keepdim=True), SEGMENT.tolist(), scale)
    torch.testing.assert_close(value, expected)
    value.backward()
    expected.backward()
    assert theirs.grad is not None
    assert theirs.grad.abs().max() > 1e-4
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_one_segment_has_nothing_to_contrast() -> None:
    features = normalize(random(4, 3)).requires_grad_()
    loss = contrastive_loss(features, torch.zeros(4, dtype=torch.long))
    loss.backward()
    assert loss == 0
    assert features.grad is not None
    torch.testing.assert_close(features.grad, torch.zeros_like(features.grad))


def test_spatial_loss_and_gradient_are_those_of_eq_4() -> None:
    parts = [normalize(random(*shape, seed=seed), dim=-1) for seed, shape in enumerate([(6, 4), (6, 2, 4), (6, 5, 4)])]
    ours = [part.clone().requires_grad_() for part in parts]
    theirs = [part.clone().requires_grad_() for part in parts]
    value = spatial_loss(ours[0], ours[1], ours[2], 0.05, 0.15)
    expected = equation_4(*theirs)
    torch.testing.assert_close(value, expected)
    value.backward()
    expected.backward()
    for mine, written_out in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, written_out.grad)
