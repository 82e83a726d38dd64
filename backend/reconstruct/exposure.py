"""Exposure and white balance of each photograph: a factor for each colour channel, found while Gaussians are trained.

A phone exposes each photograph by itself. Gaussians of one colour can then match no two photographs, unless some hang
in front of single cameras as filters do. 3DGS (Kerbl et al. 2023; its code since October 2024) trains an affine map of
the colours for each photograph. Three factors say what a camera does, and have their best values in closed form.
"""

from __future__ import annotations

import torch

MOST = 1.0
"""Largest logarithm of a factor: beyond, the photograph is too dark or too bright to say anything."""

DARK = 1e-3
"""Mean square of a channel of the rendered image, of 1, below which no factor can be told from it."""


class Exposures:
    """The factors of V photographs, of geometric mean 1 over the photographs.

    Attributes:
        logs: (V, 3) float32, logarithms of the factors of red, green and blue.
    """

    def __init__(self, count: int, device: torch.device | str) -> None:
        self.logs = torch.zeros(count, 3, device=device)

    def apply(self, image: torch.Tensor, number: int) -> torch.Tensor:
        """Return an image (H, W, 3) float32 as photograph ``number`` would show it; differentiable in the image."""
        return image * self.logs[number].exp()

    def move(self, steps: torch.Tensor) -> None:
        """Add (V, 3) ``steps`` to the logarithms. Their means stay 0, as Gaussians could brighten instead."""
        self.logs = (self.logs + steps).clamp(-MOST, MOST)
        self.logs -= self.logs.mean(0)


def logs_of(image: torch.Tensor, photograph: torch.Tensor) -> torch.Tensor:
    """Return (3,), the logarithms of the factors that bring an image closest to a photograph in squared error.

    The factor a of a channel, for a * image, is <image, photograph> / <image, image>.

    Args:
        image: (H, W, 3) float32, rendered.
        photograph: (H, W, 3) uint8.
    """
    drawn = image.detach().reshape(-1, 3)
    square = drawn.square().mean(0)
    best = (drawn * photograph.reshape(-1, 3)).mean(0) / 255 / square.clamp(min=DARK)
    return torch.where(square > DARK, best.clamp(min=DARK).log().clamp(-MOST, MOST), 0)
