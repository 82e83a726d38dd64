"""Refines Gaussians with labels, so that their geometry ends where objects end.

Wrong labels occur within a pixel of an outline, because of Gaussians that extend over it. ``refine`` moves the outlines
of the labels onto the edges of each photograph and trains the Gaussians with them and with the photographs, for a few
hundred steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from backend.lift import Lift, label_map
from backend.progress import Progress, part_of, silent
from backend.reconstruct.initial import viewing_distance
from backend.reconstruct.memory_estimate import DISK, MemoryEstimate, estimate_memory, place_photographs
from backend.reconstruct.photo_cache import PhotoCache, large_folder
from backend.reconstruct.photographs import Photograph, load_photographs
from backend.reconstruct.schedule import LONG_SIDE, STEPS, Schedule
from backend.refine.outlines import outlined
from backend.refine.tuning import tune
from backend.render import Renderer, device_of
from backend.scene.types import View
from protocol.splats import Splats

__all__ = ["SHARE", "Refinement", "refine"]

SHARE = 15
"""Ratio between the steps of a reconstruction and those of the refinement."""

BACKGROUND = 0.8
"""Weight of the background's light for the labels of a pixel: objects are partly transparent at their rims, where
Gaussians are few and faint. With weight 1 in generated rooms, background takes three times as many pixels from objects
as objects take from it."""


@dataclasses.dataclass(frozen=True)
class Refinement:
    """Settings of the refinement; the defaults were chosen on generated rooms.

    Attributes:
        steps: of training, one photograph each; 0 for none, None for a fifteenth of the steps of a reconstruction.
        rounds: number of parts. Each part starts with outlines from the Gaussians of the previous one.
        label_weight: weight of the label loss relative to the photometric loss.
    """

    steps: int | None = None
    rounds: int = 2
    label_weight: float = 0.2


def refine(
    splats: Splats,
    lifted: Lift,
    views: Sequence[View],
    *,
    how: Refinement | None = None,
    device: str = "cpu",
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[Splats, Lift]:
    """Return Gaussians whose edges follow the photographs, with their labels.

    Args:
        splats: N Gaussians in the frame of the cameras, as reconstructed; non-finite ones are not changed.
        lifted: their labels; without any object nothing is changed. Confidence, embedding and the views of each label
            are copied.
        views: at least one training view; photographs are read, masks are not needed.
        how: None for the defaults.
        device: "auto", "cpu" or "cuda".
        seed: random seed.
        progress: told under the stage "refine".

    Returns:
        The refined Gaussians without extra columns, and their lift.

    Raises:
        Unavailable: if the device is not available, or there is not enough memory.
        Fault: as raised by the readers of the scene.
        Cancelled: from ``progress``.
    """
    how = how or Refinement()
    device = device_of(device)
    steps = STEPS[device] // SHARE if how.steps is None else how.steps
    if steps == 0 or not lifted.labels.any():
        return splats, lifted
    home = place_photographs(_need(splats, views, device), device, large_folder())
    folder = large_folder() if home == DISK else None
    photos = load_photographs(
        views, long_side=LONG_SIDE[device], device=home, folder=folder, progress=_under_refine(progress)
    ).full
    rounds = max(1, min(how.rounds, steps))
    for done in range(rounds):
        told = part_of(progress, done / rounds, 1 / rounds)
        outlines = _outlines(splats, lifted.labels, photos, folder, device, told)
        share = (done + 1) * steps // rounds - done * steps // rounds
        splats = _tuned(splats, lifted.labels, photos, outlines, share, how.label_weight, device, seed + done, told)
    progress("refine", 1.0)
    return splats, lifted


def _need(splats: Splats, views: Sequence[View], device: str) -> MemoryEstimate:
    """Return the memory that tuning takes: that of a reconstruction, plus an outline per photograph."""
    wanted = estimate_memory(views, LONG_SIDE[device], device, len(splats), splats.sh_degree)
    sizes = (view.camera.size_within(LONG_SIDE[device]) for view in views)
    return wanted._replace(photographs=wanted.photographs + sum(4 * width * height for width, height in sizes))


def _outlines(
    splats: Splats,
    labels: NDArray[np.int32],
    photos: Sequence[Photograph],
    folder: Path | None,
    device: str,
    progress: Progress,
) -> list[NDArray[np.int32]]:
    """Return each photograph's label map (H, W) int32 with its outlines on edges; in a file if a folder is given."""
    renderer = Renderer(splats, device)
    photo_cache = None if folder is None else PhotoCache(folder)
    found: list[NDArray[np.int32]] = []
    for number, photo in enumerate(photos):
        progress("refine", 0.3 * number / len(photos), "outlines")
        drawn = label_map(renderer, labels, photo.camera, BACKGROUND)
        outline = outlined(drawn, photo.image.cpu().numpy())
        if photo_cache is None:
            found.append(outline)
        else:
            photo_cache.put([outline])
    return found if photo_cache is None else [photo_cache.row(number)[0] for number in range(len(photos))]


def _tuned(
    splats: Splats,
    labels: NDArray[np.int32],
    photos: Sequence[Photograph],
    outlines: Sequence[NDArray[np.int32]],
    steps: int,
    label_weight: float,
    device: str,
    seed: int,
    progress: Progress,
) -> Splats:
    finite = np.isfinite(splats.means).all(1)
    distance = viewing_distance(splats.means[finite], [photo.camera for photo in photos])
    pixels = sum(photo.image.shape[0] * photo.image.shape[1] for photo in photos)
    schedule = Schedule.for_scene(distance, pixels, len(splats), engine=device, steps=steps, sh_degree=splats.sh_degree)
    columns = {
        name: torch.from_numpy(np.array(getattr(splats, name), np.float32)).to(device)
        for name in ("means", "quats", "scales", "opacities", "sh")
    }
    tuned = tune(
        columns, labels, photos, outlines, schedule, label_weight, seed,
        lambda done, note: progress("refine", 0.3 + 0.7 * done, note),
    )  # fmt: skip
    found = {name: column.cpu().numpy() for name, column in tuned.items()}
    return Splats(found["means"], found["quats"], found["scales"], found["opacities"], found["sh"])


def _under_refine(progress: Progress) -> Progress:
    return lambda stage, fraction, note="": progress("refine", 0.0, note)
