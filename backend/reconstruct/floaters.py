"""Floaters: Gaussians that float in front of the surfaces in the photographs.

A Gaussian that compensates an error of one photograph, such as a wrong exposure or pose, may be anywhere on the rays of
that photograph. The other cameras see it in front of the surface. So each Gaussian's light is divided into the part
that arrives in front of the median depth of its pixel and the rest, over pixels of all photographs. Nearly all light of
a surface is at that depth in every view. Removing Gaussians with much light in front clears free space layer by layer:
the Gaussians behind them then receive the light, and the median depth moves back.

Layers of faint Gaussians may lie one behind the other for every photograph and still be in front of the surface for a
camera beside them. Where poses are estimated and thus never exact, novel views are checked as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backend.reconstruct.novel_views import beside
from backend.render.surface import Light, LightSource
from backend.scene.types import Camera
from protocol.splats import Splats

PIXELS = 2000
"""Pixels sampled per view; each check uses other pixels."""

VIEWS = 120
"""Most views that are used, chosen at random."""

NEAREST = 0.5
"""Least median depth of a novel view, as a share of the photograph's. With less, its camera may be inside an object."""


class InFront(NamedTuple):
    """The share of each Gaussian's light in front of surfaces.

    Attributes:
        photographs: (N,) float32, in the views of the photographs; 0 for unseen Gaussians.
        novel: (N,) float32, in views beside them; 0 for unseen Gaussians, and for all if there were no such views.
    """

    photographs: NDArray[np.float32]
    novel: NDArray[np.float32]


def light_in_front(
    splats: Splats, cameras: Sequence[Camera], margin: float, device: str, seed: int, novel: bool = False
) -> InFront:
    """Return the share of each Gaussian's light in front of surfaces.

    Args:
        cameras: of the training photographs.
        margin: least distance in front of the median depth of a pixel for light to count, scene units.
        seed: random seed for views and pixels.
        novel: whether to look at novel views as well, one per photograph.
    """
    rng = np.random.default_rng(seed)
    source = LightSource(splats, device)
    photographs, others = _Sums(len(splats), margin), _Sums(len(splats), margin)
    for number in rng.permutation(len(cameras))[:VIEWS]:
        light = source.sample(cameras[number], PIXELS, rng)
        photographs.add(light)
        if novel:
            depth = float(np.median(light.surface))
            light = source.sample(beside(cameras[number], depth, rng), PIXELS, rng)
            if np.median(light.surface) >= NEAREST * depth:
                others.add(light)
    return InFront(photographs.share(), others.share())


class _Sums:
    """The light of each Gaussian, and the part of it in front of surfaces."""

    def __init__(self, count: int, margin: float) -> None:
        self.margin = margin
        self.front, self.whole = np.zeros(count), np.zeros(count)

    def add(self, light: Light) -> None:
        ahead = np.where(light.depths < light.surface[:, None] - self.margin, light.weights, 0)
        self.front += np.bincount(light.ids.ravel(), ahead.ravel(), len(self.front))
        self.whole += np.bincount(light.ids.ravel(), light.weights.ravel(), len(self.whole))

    def share(self) -> NDArray[np.float32]:
        return (self.front / np.maximum(self.whole, np.finfo(np.float64).tiny)).astype(np.float32)
