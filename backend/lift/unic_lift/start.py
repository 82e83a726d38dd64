"""The embedding before its first step: normal values, each Gaussian's own or smooth in space."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WAVES = 256
"""Random waves that a smooth start is the sum of."""


def start(means: NDArray[np.float32], dimensions: int, scale: float, length: float, chance: torch.Generator) -> Tensor:
    """Return the (N, d) float32 embedding of N Gaussians to start from, on the generator's device.

    Every value is normal with mean 0 and standard deviation ``scale``. With a length, those of two Gaussians correlate
    by ``exp(-(distance / length)^2 / 2)``: a Gaussian process with a squared-exponential kernel, drawn by random
    Fourier features (Rahimi and Recht 2007).

    Args:
        means: (N, 3) float32, centres.
        dimensions: d.
        scale: standard deviation.
        length: in scene units; 0 draws every value on its own.
        chance: generator of the draws.
    """
    device = chance.device
    if length == 0:
        return torch.randn(len(means), dimensions, generator=chance, device=device) * scale
    frequency = torch.randn(3, WAVES, generator=chance, device=device) / length
    phase = torch.rand(WAVES, generator=chance, device=device) * (2 * np.pi)
    waves = torch.cos(torch.from_numpy(means).to(device) @ frequency + phase) * (2 / WAVES) ** 0.5
    return waves @ torch.randn(WAVES, dimensions, generator=chance, device=device) * scale
