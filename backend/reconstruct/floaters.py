"""Floaters: Gaussians that hang in front of the surfaces that the photographs show.

A Gaussian that mends one photograph, a wrong exposure or a pose that is off, may hang anywhere on that photograph's
rays. The other cameras see it in front of what they look at. So each Gaussian's light is divided into what arrives in
front of the median depth of its pixel and what does not, over pixels of all photographs. Of a surface nearly all light
is at that depth, from wherever it is seen. Removing Gaussians with much light in front carves free space, a layer at a
time: what is behind them gets the light, and the median depth moves back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.render.surface import LightSource
from backend.scene.types import Camera
from protocol.splats import Splats

PIXELS = 2000
"""Pixels of a view that are looked at; each check takes others."""

VIEWS = 120
"""Views that are looked at; of more, a random choice."""


def light_in_front(
    splats: Splats, cameras: Sequence[Camera], margin: float, device: str, seed: int
) -> NDArray[np.float32]:
    """Return (N,) float32, the share of each Gaussian's light that arrives in front of surfaces; 0 where none is seen.

    Args:
        cameras: of the training photographs.
        margin: how far in front of the median depth of a pixel light must arrive to count, scene units.
        seed: of the choice of views and pixels.
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
