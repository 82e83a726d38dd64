"""Exposure and white balance of each photograph: a factor per colour channel, estimated during training.

A phone adjusts the exposure of each photograph. Gaussians of one colour then cannot match two photographs, unless some
float in front of single cameras as filters. 3DGS (Kerbl et al. 2023; its code since October 2024) trains an affine
colour transform per photograph. Three factors are enough to model a camera, and their best values have a closed form.
"""

from __future__ import annotations

import torch

MOST = 1.0
"""Largest logarithm of a factor; beyond it the photograph is too dark or too bright to be useful."""

DARK = 1e-3
"""Least mean square of a channel of the rendered image, in 0 to 1, from which a factor can be estimated."""


class Exposures:
    """The factors of V photographs, of geometric mean 1 over the photographs.

    Attributes:
        logs: (V, 3) float32, logarithms of the factors of red, green and blue.
    """

    def __init__(self, count: int, device: torch.device | str) -> None:
        self.logs = torch.zeros(count, 3, device=device)

    def apply(self, image: torch.Tensor, number: int) -> torch.Tensor:
        """Return an image (H, W, 3) float32 with the exposure of photograph ``number``; differentiable in the image."""
        return image * self.logs[number].exp()

    def move(self, steps: torch.Tensor) -> None:
        """Add (V, 3) ``steps`` to the logarithms, and keep their means at 0: Gaussians set the mean brightness."""
        self.logs = (self.logs + steps).clamp(-MOST, MOST)
        self.logs -= self.logs.mean(0)


def logs_of(image: torch.Tensor, photograph: torch.Tensor) -> torch.Tensor:
    """Return (3,), the logarithms of the factors that minimise the squared error between image and photograph.

    The factor a of a channel, applied as a * image, is <image, photograph> / <image, image>.

    Args:
        image: (H, W, 3) float32, rendered.
        photograph: (H, W, 3) uint8.
    """
    drawn = image.detach().reshape(-1, 3)
    square = drawn.square().mean(0)
    best = (drawn * photograph.reshape(-1, 3)).mean(0) / 255 / square.clamp(min=DARK)
    return torch.where(square > DARK, best.clamp(min=DARK).log().clamp(-MOST, MOST), 0)
