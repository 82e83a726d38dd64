"""Where the origin lies that Gaussians are trained about, and how far from the capture's own it may be.

Gaussians are float32 wherever they are kept, and so are a camera's matrices where they are drawn: five million metres
from the origin of a map, a metre is two steps of such a number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.scene.types import Camera, Scene, View
from protocol.errors import BadScene

FAR = 100
"""A capture farther from its origin than this many times its own size is trained about its middle."""

COARSEST = 0.2
"""Step between two neighbouring coordinates, in pixels of the photographs, above which a result would be blurred."""


def training_origin(views: Sequence[View]) -> NDArray[np.float64]:
    """Return (3,), the origin to train about, in the frame of the capture: its own, or the middle of the cameras."""
    centres = np.array([view.camera.centre for view in views])
    middle = centres.mean(0)
    size = np.linalg.norm(centres - middle, axis=1).max()
    return middle if np.linalg.norm(middle) > FAR * size > 0 else np.zeros(3)


def check_precision(scene: Scene, origin: NDArray[np.float64], distance: float, cameras: Sequence[Camera]) -> None:
    """Refuse a capture so far from its origin that float32 cannot hold what its photographs show.

    Args:
        origin: from :func:`training_origin`.
        distance: from a camera to what it sees, scene units.
        cameras: as trained.

    Raises:
        BadScene: if it is.
    """
    step = float(np.spacing(np.float32(np.abs(origin).max())))
    pixels = step * max(camera.K[0, 0] for camera in cameras) / distance
    if pixels > COARSEST:
        raise BadScene(
            f"{scene.root} lies {np.linalg.norm(origin):,.0f} units from the origin. At that distance 32-bit "
            f"coordinates have steps of {step:.2g}, or {pixels:.1f} pixels in its photographs.",
            "Move the cameras and the points to the origin and reconstruct again.",
        )
