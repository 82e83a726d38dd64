"""Trains an embedding per Gaussian on contributions: ``embedding_bag`` and losses, without a rasteriser in the loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from backend.lift.embedding.neighbours import neighbours
from backend.lift.embedding.row_adam import RowAdam
from backend.lift.embedding.samples import ViewSamples
from backend.lift.unic_lift.losses import cluster_loss, draw_triplets, neighbour_loss, semantic_loss, triplet_loss
from backend.lift.unic_lift.settings import UnicLiftSettings
from backend.lift.unic_lift.start import start
from backend.lift.unic_lift.trained import Trained
from backend.progress import Progress, Watch, unwatched


def train(
    samples: Sequence[ViewSamples],
    means: NDArray[np.float32],
    extent: float,
    settings: UnicLiftSettings,
    device: str,
    seed: int,
    progress: Progress,
    watch: Watch = unwatched,
) -> Trained:
    """Return the embedding of UniC-Lift, trained on the samples of one view per step.

    Args:
        samples: of each view.
        means: (N, 3) float32, centres.
        extent: of the scene, in its units; settings that are lengths are shares of it.
        settings: of the method.
        device: a torch device.
        seed: of all draws.
        progress: called with the stage "lift".
        watch: called as often with a function that returns the current embedding.
    """
    chance = torch.Generator(device).manual_seed(seed)
    d = settings.dimensions
    table = start(means, d, settings.init_scale, settings.start_length * extent, chance)
    semantic = settings.lambda_semantic > 0
    if semantic:
        # The semantic value is one more column of the table; it starts at 0.
        table = torch.cat([table, torch.zeros(len(means), 1, device=device)], 1)
    adam = RowAdam(table, settings.learning_rate)
    project = torch.eye(d, device=device)
    project += 0.01 * torch.randn(d, d, generator=chance, device=device)
    project.requires_grad_()
    project_adam = torch.optim.Adam([project], lr=settings.projection_rate)
    near, inside = neighbours(means, settings.radius * extent, settings.neighbours)
    near, inside = torch.from_numpy(near).to(device), torch.from_numpy(inside).to(device)
    views = [_on(device, view) for view in samples]
    order: list[int] = []

    for step in range(settings.steps):
        if step % 20 == 0:
            progress("lift", 0.4 + 0.5 * step / settings.steps, f"step {step} of {settings.steps}")
            watch(lambda: table[:, :d].cpu().numpy())
        if not order:
            order = torch.randperm(len(views), generator=chance, device=device).tolist()
        pixels = _draw_pixels(views[order.pop()], settings, chance)
        if not len(pixels.segment):
            continue
        regular = step >= settings.regularise_from * settings.steps
        loss, rows, values = _step_loss(table, pixels, (near, inside), project, settings, regular, chance)
        loss.backward()
        assert values.grad is not None
        with torch.no_grad():
            adam.step(rows, values.grad)
        if project.grad is not None:
            project_adam.step()
            project_adam.zero_grad()
    found = table.cpu().numpy()
    return Trained(np.ascontiguousarray(found[:, :d]), found[:, d] if semantic else None)


@dataclass(frozen=True)
class _Pixels:
    """Samples of a view on the device.

    Attributes:
        ids, weights, segment, edge, stands_for: as in :class:`ViewSamples`; ``edge`` is its ``boundary``.
    """

    ids: Tensor
    weights: Tensor
    segment: Tensor
    edge: Tensor
    stands_for: Tensor

    def pick(self, rows: Tensor) -> _Pixels:
        """Return the samples at ``rows`` (P,) int64."""
        return _Pixels(self.ids[rows], self.weights[rows], self.segment[rows], self.edge[rows], self.stands_for[rows])


def _draw_pixels(view: _Pixels, settings: UnicLiftSettings, chance: torch.Generator) -> _Pixels:
    """Return random pixels of a view for one step, without pixels outside of masks if those have no loss."""
    picked = torch.randint(len(view.segment), (settings.pixels,), generator=chance, device=view.segment.device)
    if settings.lambda_semantic <= 0 and not settings.void_is_segment:
        picked = picked[view.segment[picked] > 0]
    return view.pick(picked)


def _step_loss(
    table: Tensor,
    pixels: _Pixels,
    neighbourhood: tuple[Tensor, Tensor],
    project: Tensor,
    settings: UnicLiftSettings,
    regular: bool,
    chance: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss of one step, the (R,) rows of the table that it uses, and their values, which get its gradient.

    Args:
        table: (N, d) or (N, d + 1) float32, stored values of the Gaussians.
        pixels: the pixels of the step.
        neighbourhood: (N, k) int64 neighbours of each Gaussian, and (N, k) float32, 1 within the radius.
        project: (d, d) float32, the projection of the triplet loss.
        settings: of the method.
        regular: whether boundaries and neighbours are compared in this step.
        chance: draws Gaussians and triplets.
    """
    near, inside = neighbourhood
    count = settings.neighbour_sample if regular and settings.lambda_3d > 0 else 0
    centre = torch.randint(len(table), (count,), generator=chance, device=table.device)
    shown = pixels.ids.numel()
    used = torch.cat([pixels.ids.reshape(-1), centre, near[centre].reshape(-1)])
    rows, place = torch.unique(used, return_inverse=True)
    values = table[rows].requires_grad_()
    rendered = _rendered(values, place[:shown].reshape(pixels.ids.shape), pixels.weights, settings)
    loss = _mask_loss(rendered, pixels, project, settings, regular, chance)
    if count:
        own = values[place[shown : shown + count]]
        others = values[place[shown + count :]].reshape(count, -1, values.shape[1])
        if settings.sigmoid_before_3d:
            own, others = torch.sigmoid(own), torch.sigmoid(others)
        loss = loss + settings.lambda_3d * neighbour_loss(own, others, inside[centre])
    return loss, rows, values


def _rendered(values: Tensor, ids: Tensor, weights: Tensor, settings: UnicLiftSettings) -> Tensor:
    """Return the embeddings of pixels, (P, d), or (P, d + 1) if the last value is the semantic one.

    Args:
        values: (R, d) or (R, d + 1) float32, stored values of Gaussians.
        ids: (P, k) int64, rows of ``values``.
        weights: (P, k) float32.
    """
    if settings.squash == "gaussian":
        d = settings.dimensions
        values = torch.cat([torch.sigmoid(values[:, :d]), values[:, d:]], 1)
    return embedding_bag(ids, values, per_sample_weights=weights, mode="sum")


def _mask_loss(
    rendered: Tensor,
    pixels: _Pixels,
    project: Tensor,
    settings: UnicLiftSettings,
    regular: bool,
    chance: torch.Generator,
) -> Tensor:
    """Return the losses that compare the embeddings of pixels with the masks, summed.

    Args:
        rendered: from :func:`_rendered`.
        pixels: the P pixels.
        project: (d, d) float32, the projection of the triplet loss.
        regular: whether boundaries are compared in this step.
        chance: draws the triplets.
    """
    segment, boundary, d = pixels.segment, pixels.edge, settings.dimensions
    loss = torch.zeros((), device=rendered.device)
    if settings.lambda_semantic > 0:
        loss = settings.lambda_semantic * semantic_loss(rendered[:, d], segment > 0, pixels.stands_for)
        rendered = rendered[:, :d]
        if not settings.void_is_segment:
            named = segment > 0
            rendered, segment, boundary = rendered[named], segment[named], boundary[named]
    if not len(segment):
        return loss
    squashed = rendered if settings.squash == "gaussian" else torch.sigmoid(rendered)
    margin = settings.push_margin if settings.push == "hinge" else None
    compared = squashed if settings.sigmoid_before_cluster else rendered
    loss = loss + settings.lambda_cluster * cluster_loss(compared, segment, margin)
    if regular and settings.lambda_triplet > 0:
        triplets = draw_triplets(segment, boundary, settings.triplets, chance)
        loss = loss + settings.lambda_triplet * triplet_loss(squashed @ project.T, triplets, settings.triplet_margin)
    return loss


def _on(device: str, view: ViewSamples) -> _Pixels:
    return _Pixels(
        torch.from_numpy(view.ids).to(device).long(),
        torch.from_numpy(view.weights).to(device),
        torch.from_numpy(view.segment).to(device).long(),
        torch.from_numpy(view.boundary).to(device),
        torch.from_numpy(view.stands_for).to(device),
    )
