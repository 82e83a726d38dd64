"""The origin used in training, and limits on the distance between a capture and its origin.

Gaussians are stored as float32, as are camera matrices in rendering. Five million metres from the origin of a map, one
metre is two steps of such a number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.scene.types import Camera, Scene, View
from protocol.errors import BadScene

FAR = 100
"""A capture further from its origin than this many times its own size is trained about its centre."""

COARSEST = 0.2
"""Largest step between adjacent float32 coordinates, in photograph pixels, for a sharp result."""


def training_origin(views: Sequence[View]) -> NDArray[np.float64]:
    """Return (3,), the origin for training, in the frame of the capture: its own, or the centre of the cameras."""
    centres = np.array([view.camera.centre for view in views])
    middle = centres.mean(0)
    size = np.linalg.norm(centres - middle, axis=1).max()
    return middle if np.linalg.norm(middle) > FAR * size > 0 else np.zeros(3)


def check_precision(scene: Scene, origin: NDArray[np.float64], distance: float, cameras: Sequence[Camera]) -> None:
    """Refuse a capture that is too far from its origin for float32.

    Args:
        origin: from :func:`training_origin`.
        distance: from a camera to the scene, scene units.
        cameras: as used in training.

        Raises:
            BadScene: if the precision is not enough.
    """
    step = float(np.spacing(np.float32(np.abs(origin).max())))
    pixels = step * max(camera.K[0, 0] for camera in cameras) / distance
    if pixels > COARSEST:
        raise BadScene(
            f"{scene.root} is {np.linalg.norm(origin):,.0f} units from the origin. At that distance 32-bit "
            f"coordinates have steps of {step:.2g}, or {pixels:.1f} pixels in its photographs.",
            "Move the cameras and the points to the origin and reconstruct again.",
        )
