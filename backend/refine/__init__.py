"""Labels back to Gaussians: geometry that ends where objects end.

What labels get wrong lies within a pixel of an outline, and is the fault of Gaussians that reach over it. ``refine``
moves the outlines of the labels onto the edges of each photograph and lets them shape the Gaussians, beside the
photographs, for a few hundred steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from backend.lift import Lift, label_map
from backend.progress import Progress, silent
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
"""A reconstruction takes so many times as many steps as the tuning after it."""

STRONGEST = 16
"""Gaussians asked of each pixel."""
BACKGROUND = 0.8
"""What the light of the background counts where the labels of a pixel are weighed: objects let some of it through at
their rims, where Gaussians are few and faint. On made rooms, weighed as 1, it takes three times as many pixels from
objects as objects take from it."""


@dataclasses.dataclass(frozen=True)
class Refinement:
    """How boundaries are refined; the defaults were chosen on made rooms.

    Attributes:
        steps: of tuning, one photograph each; 0 for none, None for a fifteenth of what a reconstruction takes.
        rounds: in how many parts they are made. Each part begins with outlines of what the last has sharpened.
        label_weight: of the label loss beside the photometric loss.
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
        splats: N Gaussians in the frame of the cameras, as reconstructed; those that are not finite stay as they are.
        lifted: their labels; without any object all stays as it is. Confidence, embedding and the views of each label
            are carried over.
        views: at least one training view; photographs are read, masks are not needed.
        how: None for the defaults.
        device: "auto", "cpu" or "cuda".
        seed: of every random choice.
        progress: told under the stage "refine".

    Returns:
        The refined Gaussians without extra columns, and their lift.

    Raises:
        Unavailable: if the device cannot be had, or there is not memory enough.
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
        told = _part(progress, done / rounds, 1 / rounds)
        outlines = _outlines(splats, lifted.labels, photos, folder, device, told)
        share = (done + 1) * steps // rounds - done * steps // rounds
        splats = _tuned(splats, lifted.labels, photos, outlines, share, how.label_weight, device, seed + done, told)
    progress("refine", 1.0)
    return splats, lifted


def _need(splats: Splats, views: Sequence[View], device: str) -> MemoryEstimate:
    """What tuning takes: as a reconstruction does, and an outline beside each photograph."""
    wanted = estimate_memory(views, LONG_SIDE[device], device, len(splats), splats.sh_degree)
    sizes = (view.camera.size_within(LONG_SIDE[device]) for view in views)
    return wanted._replace(photographs=wanted.photographs + sum(4 * width * height for width, height in sizes))


def _part(progress: Progress, start: float, share: float) -> Progress:
    return lambda stage, fraction, note="": progress(stage, start + share * fraction, note)


def _outlines(
    splats: Splats,
    labels: NDArray[np.int32],
    photos: Sequence[Photograph],
    folder: Path | None,
    device: str,
    progress: Progress,
) -> list[NDArray[np.int32]]:
    """Of each photograph, (H, W) int32, the labels as drawn, led to its edges; in a file where there is a folder."""
    renderer = Renderer(splats, device)
    photo_cache = None if folder is None else PhotoCache(folder)
    found: list[NDArray[np.int32]] = []
    for number, photo in enumerate(photos):
        progress("refine", 0.3 * number / len(photos), "outlines")
        shown = renderer.contributions(photo.camera, None, STRONGEST)
        drawn = label_map(shown, labels, photo.camera, BACKGROUND)
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
