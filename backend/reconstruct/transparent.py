"""Compares renders with photographs that have transparent pixels.

Where the photograph shows empty space, both are placed on a backdrop of one colour, a random one at each step (as in
nerfstudio, Tancik et al. 2023). On a constant black backdrop, black Gaussians would be as good as none: they would
surround the objects, and dark objects could stay transparent. Where a part of the scene is hidden, both are multiplied
by the alpha channel, so that these pixels do not count (as in the reference code of 3DGS).
"""

from __future__ import annotations

from dataclasses import replace

import torch

from backend.reconstruct.photographs import Photograph


def as_compared(
    image: torch.Tensor, opacity: torch.Tensor, photo: Photograph, step: int
) -> tuple[torch.Tensor, Photograph]:
    """Return a rendered image and its photograph as a loss compares them; unchanged if the photograph is opaque.

    Args:
        image: (H, W, 3) float32, rendered on black; differentiable.
        opacity: (H, W) float32, rendered; differentiable.
        photo: composited on black, on the same device.
        step: of the training; selects the backdrop, so that a resumed run and all processes have the same.
    """
    if photo.alpha is None:
        return image, photo
    if photo.transparent == "hidden":
        return image * (photo.alpha.to(image.dtype) / 255)[..., None], photo
    colour = torch.rand(3, generator=torch.Generator().manual_seed(step)).to(image.device)
    behind = (255 - photo.alpha.to(image.dtype))[..., None] * colour
    target = (photo.image + behind).round().clamp(max=255).to(torch.uint8)
    return image + (1 - opacity)[..., None] * colour, replace(photo, image=target)
