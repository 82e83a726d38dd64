"""Previews of running work, one every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.scene.types import Camera

SIDE = 256
"""Longest side of a preview, pixels."""
EVERY = 2.0
"""Least seconds between two previews."""

Take = Callable[[NDArray[np.uint8]], object]
"""Receives a preview, (H, W, 3) uint8."""


class Draws(Protocol):
    """The required interface of :class:`backend.render.Renderer`."""

    def image(self, camera: Camera, features: NDArray[np.float32]) -> NDArray[np.float32]: ...


class Pictures:
    """Forwards previews, at most one every few seconds.

    Args:
        take: receives them; if None, no preview is ever due.
        clock: a monotonic clock in seconds.
    """

    def __init__(self, take: Take | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._take = take
        self._clock = clock
        self._next = 0.0

    @property
    def wanted(self) -> bool:
        """Whether anybody receives the previews."""
        return self._take is not None

    @property
    def due(self) -> bool:
        """Whether it is time for the next preview."""
        return self.wanted and self._clock() >= self._next

    def image(self, image: NDArray[np.float32]) -> None:
        """Show an (H, W, 3) image of values from 0 to 1."""
        self._show(Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8)), Image.Resampling.BILINEAR)

    def drawing(self, drawing: Image.Image) -> None:
        """Show an image whose colours must not be interpolated, such as a label map."""
        self._show(drawing, Image.Resampling.NEAREST)

    def embedding(self, draws: Draws, camera: Camera, embedding: NDArray[np.float32]) -> None:
        """Show an (N, d) embedding from a camera, with its principal components as colours."""
        scale = min(1.0, SIDE / max(camera.width, camera.height))
        small = camera.resized(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))
        self.image(draws.image(small, principal_colours(embedding)))

    def _show(self, picture: Image.Image, resample: Image.Resampling) -> None:
        self._next = self._clock() + EVERY
        scale = SIDE / max(picture.size)
        if scale < 1:
            picture = picture.resize(
                (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), resample
            )
        if self._take is not None:
            self._take(np.asarray(picture))


UNSEEN = Pictures(None)
"""For work without observers."""


def principal_colours(embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (N, 3) float32 from 0 to 1: the first three principal components of an (N, d) embedding."""
    values = embedding - embedding.mean(0)
    directions = np.linalg.eigh(values.T @ values)[1][:, ::-1][:, :3]
    # The sign of an eigenvector is arbitrary; fixing it keeps colours stable during training.
    directions = directions * np.where(directions.sum(0) < 0, -1, 1)
    along = np.zeros((len(values), 3), np.float32)
    along[:, : directions.shape[1]] = values @ directions
    low, high = np.percentile(along, [2, 98], axis=0)
    return ((along - low) / np.maximum(high - low, 1e-9)).clip(0, 1).astype(np.float32)
