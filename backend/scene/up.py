"""Estimates the up direction of a capture as the mean up of its cameras, because people hold cameras upright.

Poses belong to the stored pixels. The EXIF orientation of a photograph shows if the camera was held sideways.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.scene.images import orientation
from backend.scene.types import View

FALLBACK = (0.0, -1.0, 0.0)
"""Up if the cameras do not agree: that of a single COLMAP camera at the origin."""
UPWARDS = {1: (0, -1), 2: (0, -1), 3: (0, 1), 4: (0, 1), 5: (-1, 0), 6: (-1, 0), 7: (1, 0), 8: (1, 0)}
"""By EXIF orientation: up of the displayed photograph, as x (right) and y (down) of the stored pixels."""


def up_direction(views: Sequence[View]) -> tuple[float, float, float]:
    """Return a unit vector in the frame of the capture, snapped to an axis if that is within 10 degrees.

    Raises:
        BadScene: if a photograph is not an image.
    """
    return snapped(np.mean([_up(view) for view in views], axis=0))


def snapped(mean: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the direction of (3,), snapped to an axis within 10 degrees; -y for a short vector."""
    length = float(np.linalg.norm(mean))
    if length < 0.2:
        return FALLBACK
    up = mean / length
    axis = int(np.abs(up).argmax())
    if abs(up[axis]) > np.cos(np.radians(10)):
        up = np.sign(up[axis]) * np.eye(3)[axis]
    x, y, z = (round(float(value), 6) + 0.0 for value in up)
    return (x, y, z)


def _up(view: View) -> NDArray[np.float64]:
    """Return (3,), up of one photograph: the rows of the rotation are the camera's axes in the world."""
    right, down = UPWARDS[orientation(view.image_path)]
    return right * view.camera.viewmat[0, :3] + down * view.camera.viewmat[1, :3]
