"""Which points lie in the image of a camera."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.render.model import NEAR
from backend.scene.types import Camera


def in_image(points: NDArray[np.floating], camera: Camera) -> tuple[NDArray[np.bool_], NDArray[np.floating]]:
    """Return (P,) bool, which points project into the image of ``camera``, hidden or not, and (P,) their depths.

    Args:
        points: (P, 3), in the frame of the camera's ``viewmat``, scene units.
    """
    seen = camera.from_world(points)
    depth = seen[:, 2]
    pixel = seen @ camera.K.T
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = pixel[:, 0] / pixel[:, 2], pixel[:, 1] / pixel[:, 2]
    return (depth > NEAR) & (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height), depth
