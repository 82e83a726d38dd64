"""Training of an embedding per Gaussian on contributions: ``embedding_bag`` and losses, no rasteriser in the loop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from backend.lift.embedding.neighbours import neighbours
from backend.lift.embedding.row_adam import RowAdam
from backend.lift.embedding.samples import ViewSamples
from backend.lift.unic_lift.losses import cluster_loss, draw_triplets, neighbour_loss, triplet_loss
from backend.lift.unic_lift.settings import UnicLiftSettings
from backend.progress import Progress, Watch, unwatched


def train(
    samples: Sequence[ViewSamples],
    means: NDArray[np.float32],
    radius: float,
    settings: UnicLiftSettings,
    device: str,
    seed: int,
    progress: Progress,
    watch: Watch = unwatched,
) -> NDArray[np.float32]:
    """Return the (N, d) float32 embedding of UniC-Lift trained on the views' samples, one view a step.

    Args:
        samples: of each view.
        means: (N, 3) float32, centres.
        radius: tau of eq. (6), in scene units.
        settings: of the method.
        device: a torch device.
        seed: of all draws.
        progress: told under the stage "lift".
        watch: told as often where the current embedding is available.
    """
    chance = torch.Generator(device).manual_seed(seed)
    d = settings.dimensions
    table = torch.randn(len(means), d, generator=chance, device=device) * settings.init_scale
    adam = RowAdam(table, settings.learning_rate)
    project = torch.eye(d, device=device)
    project += 0.01 * torch.randn(d, d, generator=chance, device=device)
    project.requires_grad_()
    project_adam = torch.optim.Adam([project], lr=settings.projection_rate)
    near, inside = neighbours(means, radius, settings.neighbours)
    near, inside = torch.from_numpy(near).to(device), torch.from_numpy(inside).to(device)
    views = [_on(device, view) for view in samples]
    margin = settings.push_margin if settings.push == "hinge" else None
    order: list[int] = []

    for step in range(settings.steps):
        if step % 20 == 0:
            progress("lift", 0.4 + 0.5 * step / settings.steps, f"step {step} of {settings.steps}")
            watch(lambda: table.cpu().numpy())
        if not order:
            order = torch.randperm(len(views), generator=chance, device=device).tolist()
        ids, weights, segment, boundary = views[order.pop()]
        picked = torch.randint(len(segment), (settings.pixels,), generator=chance, device=device)
        ids, weights, segment, boundary = ids[picked], weights[picked], segment[picked], boundary[picked]
        regular = step >= settings.regularise_from * settings.steps
        if not settings.void_is_segment:
            named = segment > 0
            ids, weights, segment, boundary = ids[named], weights[named], segment[named], boundary[named]
            if len(segment) == 0:
                continue

        count = settings.neighbour_sample if regular and settings.lambda_3d > 0 else 0
        centre = torch.randint(len(means), (count,), generator=chance, device=device)
        rows, place = torch.unique(torch.cat([ids.reshape(-1), centre, near[centre].reshape(-1)]), return_inverse=True)
        values = table[rows].requires_grad_()
        split = ids.numel()
        rendered = embedding_bag(place[:split].reshape(ids.shape), values, per_sample_weights=weights, mode="sum")
        squashed = torch.sigmoid(rendered)

        loss = settings.lambda_cluster * cluster_loss(
            squashed if settings.sigmoid_before_cluster else rendered, segment, margin
        )
        if regular and settings.lambda_triplet > 0:
            triplets = draw_triplets(segment, boundary, settings.triplets, chance)
            loss = loss + settings.lambda_triplet * triplet_loss(
                squashed @ project.T, triplets, settings.triplet_margin
            )
        if count:
            own = values[place[split : split + count]]
            others = values[place[split + count :]].reshape(count, -1, d)
            if settings.sigmoid_before_3d:
                own, others = torch.sigmoid(own), torch.sigmoid(others)
            loss = loss + settings.lambda_3d * neighbour_loss(own, others, inside[centre])
        loss.backward()
        assert values.grad is not None
        with torch.no_grad():
            adam.step(rows, values.grad)
        if project.grad is not None:
            project_adam.step()
            project_adam.zero_grad()
    return table.cpu().numpy()


def _on(device: str, view: ViewSamples) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return (
        torch.from_numpy(view.ids).to(device).long(),
        torch.from_numpy(view.weights).to(device),
        torch.from_numpy(view.segment).to(device).long(),
        torch.from_numpy(view.boundary).to(device),
    )
