"""The initial embedding: normal values, independent for each Gaussian or smooth in space."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WAVES = 256
"""Number of random waves in the sum of a smooth start."""


def start(means: NDArray[np.float32], dimensions: int, scale: float, length: float, chance: torch.Generator) -> Tensor:
    """Return the (N, d) float32 embedding of N Gaussians to start from, on the generator's device.

    Values are normal with mean 0 and standard deviation ``scale``. With a length, the values of two Gaussians have the
    correlation ``exp(-(distance / length)^2 / 2)``: a Gaussian process with a squared-exponential kernel, drawn by
    random Fourier features (Rahimi and Recht 2007).

    Args:
        means: (N, 3) float32, centres.
        dimensions: d.
        scale: standard deviation.
        length: correlation length in scene units; 0 for independent values.
        chance: for the draws.
    """
    device = chance.device
    if length == 0:
        return torch.randn(len(means), dimensions, generator=chance, device=device) * scale
    frequency = torch.randn(3, WAVES, generator=chance, device=device) / length
    phase = torch.rand(WAVES, generator=chance, device=device) * (2 * np.pi)
    waves = torch.cos(torch.from_numpy(means).to(device) @ frequency + phase) * (2 / WAVES) ** 0.5
    return waves @ torch.randn(WAVES, dimensions, generator=chance, device=device) * scale
