"""Floaters: Gaussians that float in front of the surfaces in the photographs.

A Gaussian that compensates an error of one photograph, such as a wrong exposure or pose, may be anywhere on the rays of
that photograph. The other cameras see it in front of the surface. So each Gaussian's light is divided into the part
that arrives in front of the median depth of its pixel and the rest, over pixels of all photographs. Nearly all light of
a surface is at that depth in every view. Removing Gaussians with much light in front clears free space layer by layer:
the Gaussians behind them then receive the light, and the median depth moves back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.render.surface import LightSource
from backend.scene.types import Camera
from protocol.splats import Splats

PIXELS = 2000
"""Pixels sampled per view; each check uses other pixels."""

VIEWS = 120
"""Most views that are used, chosen at random."""


def light_in_front(
    splats: Splats, cameras: Sequence[Camera], margin: float, device: str, seed: int
) -> NDArray[np.float32]:
    """Return (N,) float32, the share of each Gaussian's light in front of surfaces; 0 for unseen Gaussians.

    Args:
        cameras: of the training photographs.
        margin: least distance in front of the median depth of a pixel for light to count, scene units.
        seed: random seed for views and pixels.
    """
    rng = np.random.default_rng(seed)
    source = LightSource(splats, device)
    front, whole = np.zeros(len(splats)), np.zeros(len(splats))
    for number in rng.permutation(len(cameras))[:VIEWS]:
        light = source.sample(cameras[number], PIXELS, rng)
        ahead = np.where(light.depths < light.surface[:, None] - margin, light.weights, 0)
        front += np.bincount(light.ids.ravel(), ahead.ravel(), len(splats))
        whole += np.bincount(light.ids.ravel(), light.weights.ravel(), len(splats))
    return (front / np.maximum(whole, np.finfo(np.float64).tiny)).astype(np.float32)
