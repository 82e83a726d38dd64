"""Trains Gaussians on photographs and labels together: label gradients change opacity, centre, rotation and size.

Each Gaussian has the code of its label, a row of signs. Codes are blended together with the colours, and the label loss
is the mean absolute difference to the code of each pixel's target label. Between -1 and 1 the absolute difference to a
sign is linear, so the loss counts the light of each wrong label (by the share of signs in which the two differ). Over
views that disagree on an outline its minimum is their median: a sharp edge, not a blend. Codes and labels are constant;
colours are trained only with the photographs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from backend.reconstruct.losses import photometric_loss
from backend.reconstruct.optimiser import Adam, Columns
from backend.reconstruct.photographs import Photograph
from backend.reconstruct.schedule import Schedule
from backend.reconstruct.train import column_rates
from backend.reconstruct.transparent import as_compared
from backend.render import rasterize, sh_colours

SIGNS = 12
"""Signs per code: with 12, any two of 51 labels differ in at least 2 signs, and neighbouring labels usually in 6."""
BEGIN = 0.1
"""Share of the reconstruction's schedule at which the step sizes start; they end as in the schedule."""


def codes(labels: int, seed: int) -> NDArray[np.float32]:
    """Return (labels, SIGNS) float32 of -1 and 1: random rows, each selected to differ from the previous ones."""
    rng = np.random.default_rng(seed)
    rows = np.empty((labels, SIGNS), np.float32)
    for i in range(labels):
        drawn = rng.choice(np.array([-1, 1], np.float32), (256, SIGNS))
        likest = (drawn @ rows[:i].T).max(1, initial=-SIGNS)
        rows[i] = drawn[likest.argmin()]
    return rows


def tune(
    columns: Columns,
    labels: NDArray[np.int32],
    photos: Sequence[Photograph],
    outlines: Sequence[NDArray[np.int32]],
    schedule: Schedule,
    label_weight: float,
    seed: int,
    tell: Callable[[float, str], None],
) -> Columns:
    """Return the columns of N Gaussians after ``schedule.steps`` steps with one photograph each.

    Args:
        columns: means, quats, scales, opacities, sh (stored values, as in Splats), on the device to compute on.
        labels: (N,) int32, from 0.
        photos: at least one.
        outlines: of each photograph, (H, W) int32, the target label of each pixel.
        schedule: of a reconstruction of this length; its step sizes and the weight of SSIM are used.
        label_weight: weight of the label loss relative to the photometric loss.
        seed: random seed for the order of the photographs and the codes.
        tell: called with the share that is done, 0 to 1, and a short note.
    """
    adam = Adam({name: column.clone() for name, column in columns.items()})
    device = columns["means"].device
    table = torch.from_numpy(codes(int(labels.max(initial=0)) + 1, seed)).to(device)
    carried = table[torch.from_numpy(labels).to(device).long()]
    chance = torch.Generator().manual_seed(seed)
    order: list[int] = []
    begin = BEGIN * schedule.steps
    for step in range(schedule.steps):
        tell(step / schedule.steps, f"step {step} of {schedule.steps}")
        if not order:
            order = torch.randperm(len(photos), generator=chance).tolist()
        number = order.pop()
        photo, now = photos[number].on(device), adam.columns
        features = torch.cat([sh_colours(now["sh"], now["means"], photo.camera), carried], 1)
        rendered = rasterize(now["means"], now["quats"], now["scales"], now["opacities"], features, photo.camera)
        image, photo = as_compared(rendered.image[:, :, :3].contiguous(), rendered.alpha, photo, step)
        loss = photometric_loss(image, photo.image, schedule.ssim_weight)
        wanted = table[torch.from_numpy(outlines[number]).to(device).long()]
        loss = loss + label_weight * (rendered.image[:, :, 3:] - wanted).abs().mean()
        loss.backward()
        adam.step(column_rates(schedule, round(begin + step * (1 - BEGIN))), rendered.visible)
    return {name: column.detach() for name, column in adam.columns.items()}
