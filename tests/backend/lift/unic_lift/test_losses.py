"""The losses of UniC-Lift against their formulas written out, and their gradients against finite differences."""

from __future__ import annotations

import itertools

import pytest
import torch

from backend.lift.unic_lift.losses import cluster_loss, draw_triplets, neighbour_loss, semantic_loss, triplet_loss

SEGMENT = torch.tensor([0, 0, 0, 2, 2, 3, 3, 3, 3])


def embeddings(d: int = 4) -> torch.Tensor:
    return torch.randn(len(SEGMENT), d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("margin", [None, 1.0, 50.0])
def test_cluster_loss_is_eq_4_with_means(margin: float | None) -> None:
    v = embeddings()
    segments = [v[i == SEGMENT] for i in (0, 2, 3)]
    means = [rows.mean(0) for rows in segments]
    pull = sum(((rows - m) ** 2).sum(1).mean() for rows, m in zip(segments, means, strict=True)) / 3
    pairs = [((a - b) ** 2).sum() for a, b in itertools.permutations(means, 2)]
    push = -sum(pairs) / 6 if margin is None else sum((margin - p).clamp(min=0) for p in pairs) / 3
    torch.testing.assert_close(cluster_loss(v, SEGMENT, margin), torch.as_tensor(pull + push))


@pytest.mark.parametrize("margin", [None, 6.0])
def test_cluster_gradient(margin: float | None) -> None:
    assert torch.autograd.gradcheck(lambda v: cluster_loss(v, SEGMENT, margin), embeddings().requires_grad_())


def test_cluster_loss_of_one_segment_is_its_spread() -> None:
    v = embeddings()
    same = torch.zeros(len(v), dtype=torch.long)
    torch.testing.assert_close(cluster_loss(v, same, 3.0), ((v - v.mean(0)) ** 2).sum(1).mean())


def test_triplets_are_hard_and_right() -> None:
    chance = torch.Generator().manual_seed(0)
    segment = torch.randint(0, 5, (400,), generator=chance)
    boundary = torch.rand(400, generator=chance) < 0.5
    a, p, n = draw_triplets(segment, boundary, 100, chance)
    assert len(a) == len(p) == len(n) == 100
    assert boundary[torch.cat([p, n])].all()
    assert not boundary[a].all()
    assert (segment[a] == segment[p]).all()
    assert (segment[a] != segment[n]).all()
    assert (a != p).all()
    assert len(a.unique()) == 100


def test_every_boundary_pixel_can_be_a_positive_and_a_negative() -> None:
    chance = torch.Generator().manual_seed(0)
    segment = torch.tensor([0, 0, 0, 2, 2, 3, 3, 3, 3, 4])
    boundary = torch.tensor([1, 1, 0, 1, 1, 0, 1, 1, 1, 0], dtype=torch.bool)
    drawn = [draw_triplets(segment, boundary, 10, chance) for _ in range(200)]
    a, p, n = (torch.cat(column).unique() for column in zip(*drawn, strict=True))
    at_boundary = torch.nonzero(boundary)[:, 0].tolist()
    # Segment 4 has no boundary pixel, so no positive for its one pixel.
    assert a.tolist() == list(range(9))
    assert p.tolist() == n.tolist() == at_boundary


def test_no_triplets_without_two_segments_at_a_boundary() -> None:
    chance = torch.Generator().manual_seed(0)
    for boundary in (torch.zeros(9, dtype=torch.bool), torch.ones(9, dtype=torch.bool)):
        triplets = draw_triplets(torch.zeros(9, dtype=torch.long), boundary, 10, chance)
        assert len(triplets[0]) == 0
        assert triplet_loss(embeddings(), triplets, 1.0) == 0


def test_triplet_loss_is_eq_5() -> None:
    z = embeddings()
    triplets = (torch.tensor([0, 3, 5]), torch.tensor([1, 4, 6]), torch.tensor([3, 8, 0]))
    each = [
        max(0.0, float(((z[a] - z[p]) ** 2).sum() - ((z[a] - z[n]) ** 2).sum() + 1.0))
        for a, p, n in zip(*(t.tolist() for t in triplets), strict=True)
    ]
    assert sum(each) > 0
    torch.testing.assert_close(triplet_loss(z, triplets, 1.0), torch.tensor(sum(each) / 3, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda v: triplet_loss(v, triplets, 1.0), z.requires_grad_())


def test_neighbour_loss_is_eq_6_within_the_radius() -> None:
    v = embeddings()[:3]
    near = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    inside = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    expected = (((v[0] - near[0, 0]) ** 2).sum() + ((v[1] - near[1]) ** 2).sum()) / 3
    torch.testing.assert_close(neighbour_loss(v, near, inside), expected)
    assert torch.autograd.gradcheck(
        lambda a, b: neighbour_loss(a, b, inside), (v.requires_grad_(), near.requires_grad_())
    )
    assert neighbour_loss(v, near, torch.zeros_like(inside)) == 0


def test_semantic_loss_is_a_weighted_mean_of_cross_entropies() -> None:
    logit = embeddings()[:, 0]
    weight = torch.linspace(0.2, 2.0, len(logit), dtype=torch.float64)
    on_object = SEGMENT > 0
    share = 1 / (1 + torch.exp(-logit))
    expected = -(weight * torch.where(on_object, share, 1 - share).log()).sum() / weight.sum()
    torch.testing.assert_close(semantic_loss(logit, on_object, weight), expected)
    assert torch.autograd.gradcheck(lambda v: semantic_loss(v, on_object, weight), logit.requires_grad_())
