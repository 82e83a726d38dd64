"""The similarity of given Gaussians, rendered from the cameras, to the photographs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.render import Renderer
from backend.scene import evenly_spread, read_image
from backend.scene.types import View
from protocol.splats import Splats

LOOKED_AT = 7
"""Views that are compared, evenly spaced."""
LONG_SIDE = 96
"""Size in pixels at which images are compared: a coarse image identifies the frame, and details of a poor
reconstruction do not matter."""


def similarity(splats: Splats, views: Sequence[View], device: str = "cpu") -> float:
    """Return the median over a few views of the correlation of brightness between photograph and rendering.

    It is 1 if they agree up to brightness and contrast, and about 0 if they show different things or no Gaussian is
    visible.

    Raises:
        BadScene: if a photograph cannot be read.
    """
    renderer = Renderer(splats, device)
    chosen = evenly_spread(views, LOOKED_AT)
    return float(np.median([_correlation(*_small_pair(renderer, view)) for view in chosen]))


def _small_pair(renderer: Renderer, view: View) -> tuple[NDArray, NDArray]:
    """Return the brightness of a photograph and of the rendering from its camera, both (H, W)."""
    size = view.camera.size_within(LONG_SIDE)
    drawn = np.clip(renderer.image(view.camera.resized(*size)), 0, 1)
    return read_image(view, size).mean(2), drawn.mean(2)


def _correlation(a: NDArray, b: NDArray) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / norm) if norm > 1e-6 else 0.0
