"""Which way is up in a capture: people hold cameras upright, so the mean of the cameras' up says it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.scene.types import View

FALLBACK = (0.0, -1.0, 0.0)
"""Up where the cameras do not agree on any: that of a single COLMAP camera at the origin."""


def up_direction(views: Sequence[View]) -> tuple[float, float, float]:
    """Return a unit vector in the frame of the capture, snapped to an axis that it misses by less than 10 degrees."""
    # Camera y points down, and the rows of the rotation are the camera's axes in the world.
    mean = -np.mean([view.camera.viewmat[1, :3] for view in views], axis=0)
    length = float(np.linalg.norm(mean))
    if length < 0.2:
        return FALLBACK
    up = mean / length
    axis = int(np.abs(up).argmax())
    if abs(up[axis]) > np.cos(np.radians(10)):
        up = np.sign(up[axis]) * np.eye(3)[axis]
    x, y, z = (round(float(value), 6) + 0.0 for value in up)
    return (x, y, z)
