"""Solidity of a reconstruction: whether the light of a pixel comes from one surface or from the whole ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.render.surface import LightSource
from backend.scene.types import View
from protocol.splats import Splats

NEAR = 0.01
"""Light within this share of the viewing distance from the median depth of its pixel counts as surface light."""

LONG_SIDE = 400
PIXELS = 1000
VIEWS = 16

FOG = 0.2
"""Share of surface light below which a reconstruction is fog."""


@dataclass(frozen=True)
class Solidity:
    """Measures of the solidity of a reconstruction, over pixels of some views.

    Attributes:
        surface_light: share of the light that arrives within :data:`NEAR` of the median depth, 0 to 1.
        strongest: mean share of a pixel's light from its strongest Gaussian, 0 to 1.
        opacity: median opacity of the visible Gaussians, weighted by their light, 0 to 1.
    """

    surface_light: float
    strongest: float
    opacity: float

    @property
    def is_fog(self) -> bool:
        return self.surface_light < FOG


def solidity(splats: Splats, views: Sequence[View], device: str = "auto", seed: int = 0) -> Solidity:
    """Return the solidity of ``splats`` in ``views``. The viewing distance is the median depth of all pixels."""
    rng = np.random.default_rng(seed)
    source = LightSource(splats, device)
    chosen = rng.permutation(len(views))[:VIEWS]
    weights, gaps, depths, opacities = [], [], [], []
    for number in chosen:
        camera = views[number].camera
        light = source.sample(camera.resized(*camera.size_within(LONG_SIDE)), PIXELS, rng)
        weights.append(light.weights)
        gaps.append(np.abs(light.depths - light.surface[:, None]))
        depths.append(light.surface[light.weights[:, 0] > 0])
        opacities.append(splats.alphas[light.ids])
    weight, gap, opacity = np.concatenate(weights), np.concatenate(gaps), np.concatenate(opacities)
    total = float(weight.sum())
    if total == 0:
        return Solidity(0.0, 0.0, 0.0)
    near = gap < NEAR * float(np.median(np.concatenate(depths)))
    order = np.argsort(opacity, axis=None)
    reached = np.cumsum(weight.ravel()[order])
    middle = opacity.ravel()[order][np.searchsorted(reached, reached[-1] / 2)]
    return Solidity(float(weight[near].sum() / total), float(weight.max(1).mean()), float(middle))
