"""Training of the features of Contrastive Gaussian Clustering on stored contributions, without rasterisation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize

from backend.lift.contrastive.losses import contrastive_loss, spatial_loss
from backend.lift.contrastive.settings import ContrastiveSettings
from backend.lift.embedding.neighbours import neighbours
from backend.lift.embedding.row_adam import RowAdam
from backend.lift.embedding.samples import ViewSamples
from backend.progress import Progress, Watch, unwatched

Part = tuple[Tensor, Tensor]
"""Distinct rows (R,) int64 of the table, and the gradient (R, d) of a loss for them."""


class Pixels:
    """The pixels of one view that lie on its masks.

    Attributes:
        ids, weights: (P, k), the Gaussians of each pixel and their weights.
        segment: (P,) int64, 0 to S - 1, each with at least one pixel.
        scale: number of pixels of the view that each represents.
    """

    def __init__(self, view: ViewSamples, on_masks: int, device: str) -> None:
        named = view.segment > 0
        self.ids = torch.from_numpy(view.ids[named]).to(device).long()
        self.weights = torch.from_numpy(view.weights[named]).to(device)
        self.segment = torch.from_numpy(np.unique(view.segment[named], return_inverse=True)[1]).to(device)
        self.scale = on_masks / max(len(self.segment), 1)


def train_features(
    views: Sequence[Pixels],
    means: NDArray[np.float32],
    settings: ContrastiveSettings,
    device: str,
    seed: int,
    progress: Progress,
    watch: Watch = unwatched,
) -> NDArray[np.float32]:
    """Return the (N, d) float32 features of N Gaussians, not normalised, as they are rendered.

    Args:
        views: the pixels of each view; at least one, each with pixels of two segments.
        means: (N, 3) float32, centres; at least 2.
        settings: of the method.
        device: a torch device.
        seed: random seed.
        progress: told under the stage "lift".
        watch: called equally often, with access to the current features.
    """
    chance = torch.Generator(device).manual_seed(seed)
    table = torch.rand(len(means), settings.dimensions, generator=chance, device=device)
    adam = RowAdam(table, settings.learning_rate)
    near = torch.from_numpy(neighbours(means, np.inf, settings.nearest)[0]).to(device)
    centres = torch.from_numpy(means).to(device)
    order: list[int] = []
    for iteration in range(1, settings.iterations + 1):
        if iteration % 1000 == 1:
            note = f"iteration {iteration} of {settings.iterations}"
            progress("lift", 0.4 + 0.5 * iteration / settings.iterations, note)
            watch(lambda: table.cpu().numpy())
        parts: list[Part] = []
        if iteration % settings.cluster_every == 0:
            if not order:
                order = torch.randperm(len(views), generator=chance, device=device).tolist()
            parts.append(_cluster_gradient(table, views[order.pop()], settings))
        if iteration % settings.spatial_every == 0:
            parts.append(_spatial_gradient(table, centres, near, settings, chance))
        if parts:
            # One step on the sum of the gradients: with a step per loss, Adam would normalise away their weights.
            adam.step(*_sum(parts))
    return table.cpu().numpy()


def _cluster_gradient(table: Tensor, view: Pixels, settings: ContrastiveSettings) -> Part:
    rows, place = torch.unique(view.ids, return_inverse=True)
    values = table[rows].requires_grad_()
    rendered = embedding_bag(place, values, per_sample_weights=view.weights, mode="sum")
    loss = settings.lambda_clustering * contrastive_loss(normalize(rendered), view.segment, view.scale)
    return rows, torch.autograd.grad(loss, values)[0]


def _spatial_gradient(
    table: Tensor, centres: Tensor, near: Tensor, settings: ContrastiveSettings, chance: torch.Generator
) -> Part:
    def draw(count: int) -> Tensor:
        return torch.randint(len(centres), (count,), generator=chance, device=centres.device)

    anchor, pool = draw(settings.anchors), draw(settings.far_pool)
    distance = torch.cdist(centres[anchor], centres[pool])
    far = pool[distance.topk(min(settings.farthest, len(pool)), dim=1).indices]
    rows, place = torch.unique(torch.cat([anchor[:, None], near[anchor], far], 1), return_inverse=True)
    values = table[rows].requires_grad_()
    own, closest, farthest = normalize(values)[place].split([1, near.shape[1], far.shape[1]], dim=1)
    loss = spatial_loss(own[:, 0], closest, farthest, settings.lambda_near, settings.lambda_far)
    return rows, torch.autograd.grad(loss, values)[0]


def _sum(parts: Sequence[Part]) -> Part:
    rows, place = torch.unique(torch.cat([rows for rows, _ in parts]), return_inverse=True)
    gradient = torch.cat([gradient for _, gradient in parts])
    return rows, gradient.new_zeros(len(rows), gradient.shape[1]).index_add(0, place, gradient)
