"""Training photographs: decoded once, reduced to the working size, kept as bytes, with a half-size copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from backend.progress import Progress, silent
from backend.scene import read_image, read_mask
from backend.scene.types import Camera, View

SMALLEST_HALF = 64
"""A half-size photograph with a shorter side than this shows too little to be worth a phase of its own."""


@dataclass(frozen=True)
class Photograph:
    """What a camera saw.

    Attributes:
        camera: for an image of this size.
        image: (H, W, 3) uint8 on the training device; photographs with an alpha channel lie over black.
        on_object: (H, W) bool, where the view's mask shows an object, or None where the view has no mask.
    """

    camera: Camera
    image: torch.Tensor
    on_object: torch.Tensor | None


@dataclass(frozen=True)
class Photographs:
    """All training photographs, ``full`` at working size and ``half`` at half of it, in the order of the views."""

    full: tuple[Photograph, ...]
    half: tuple[Photograph, ...]

    @property
    def pixels(self) -> int:
        return sum(photo.camera.width * photo.camera.height for photo in self.full)


def load_photographs(views: Sequence[View], *, long_side: int, device: str, progress: Progress = silent) -> Photographs:
    """Read images and masks of ``views``, none larger than ``long_side`` pixels.

    Raises:
        Fault: as raised by the readers of the scene.
    """
    full, half = [], []
    for number, view in enumerate(views):
        progress("reconstruct", 0.0, f"photograph {number + 1} of {len(views)}")
        size = working_size(view.camera, long_side)
        image = read_image(view, size)
        mask = read_mask(view)
        full.append(_photograph(view.camera, image, mask, device))
        if min(size) < 2 * SMALLEST_HALF:
            half.append(full[-1])
        else:
            smaller = Image.fromarray(image).resize((size[0] // 2, size[1] // 2), Image.Resampling.BOX)
            half.append(_photograph(view.camera, np.asarray(smaller), mask, device))
    return Photographs(tuple(full), tuple(half))


def working_size(camera: Camera, long_side: int) -> tuple[int, int]:
    """Return (width, height) of the camera's image, reduced so that no side is longer than ``long_side``."""
    factor = min(1.0, long_side / max(camera.width, camera.height))
    return max(1, round(camera.width * factor)), max(1, round(camera.height * factor))


def _photograph(camera: Camera, image: NDArray[np.uint8], mask: NDArray[np.int32] | None, device: str) -> Photograph:
    height, width = image.shape[:2]
    on_object = None
    if mask is not None:
        rows = (np.arange(height) + 0.5) * mask.shape[0] / height
        cols = (np.arange(width) + 0.5) * mask.shape[1] / width
        nearest = mask[np.ix_(rows.astype(int), cols.astype(int))] > 0
        on_object = torch.from_numpy(np.ascontiguousarray(nearest)).to(device)
    pixels = torch.from_numpy(np.array(image, np.uint8)).to(device)
    return Photograph(camera.resized(width, height), pixels, on_object)
