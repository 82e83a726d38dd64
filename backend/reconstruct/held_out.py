"""Scores Gaussians on photographs that were not used for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from backend.reconstruct.exposure import logs_of
from backend.reconstruct.losses import psnr, ssim
from backend.reconstruct.schedule import LONG_SIDE
from backend.render import Renderer
from backend.scene.images import read_with_alpha
from backend.scene.types import View
from protocol.splats import Splats


@dataclass(frozen=True)
class Quality:
    """Scores of one view.

    Attributes:
        view: its name.
        psnr: peak signal-to-noise ratio in dB.
        ssim: structural similarity, at most 1.
        exposed: PSNR in dB after the best factor per channel, because the exposure of a view that was not trained is
            unknown.
    """

    view: str
    psnr: float
    ssim: float
    exposed: float


def qualities(
    splats: Splats,
    views: Sequence[View],
    device: str = "cpu",
    *,
    long_side: int | None = None,
) -> list[Quality]:
    """Return the scores of each view, reduced to ``long_side``; None for the training size of the device."""
    renderer = Renderer(splats, device)
    found = []
    for view in views:
        size = view.camera.size_within(long_side or LONG_SIDE[renderer.device])
        pixels, alpha = read_with_alpha(view, size)
        photo = torch.from_numpy(pixels.copy())
        image = torch.as_tensor(renderer.image(view.camera.resized(*size))).cpu().clamp(0, 1)
        counted = 1.0
        if alpha is not None and view.transparent == "hidden":
            image = image * torch.from_numpy(alpha / np.float32(255))[..., None]
            counted = max(float(alpha.mean()) / 255, 1 / alpha.size)
        exposed = image * logs_of(image, photo).exp()
        # Hidden pixels are black in both images, so they add no error, but must not count in its mean.
        more = 10 * float(np.log10(counted))
        quality = psnr(image, photo) + more, float(ssim(image, photo / 255)), psnr(exposed, photo) + more
        found.append(Quality(view.name, *quality))
    return found


def held_out(splats: Splats, views: Sequence[View], device: str = "cpu") -> list[float]:
    """Return the PSNR in dB of each view."""
    return [quality.psnr for quality in qualities(splats, views, device)]
