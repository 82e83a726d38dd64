"""Intrinsics from files: validated, undistorted, and scaled to the size of the photograph."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.scene.images import image_size, orientation
from backend.scene.lens import Lens, pinhole
from backend.scene.types import Camera
from protocol.errors import BadScene

MODELS = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV")


@dataclass(frozen=True)
class Calibration:
    """Intrinsics of an undistorted camera at the size it was calibrated for.

    Attributes:
        K: (3, 3) float64, in pixels.
        width, height: pixels.
        lens: the distortion that is removed, or None if there is none.
    """

    K: NDArray[np.float64]
    width: int
    height: int
    lens: Lens | None


def calibrate(model: str, params: list[float], width: int, height: int, what: str) -> Calibration:
    """Return the calibration of one of COLMAP's perspective camera models.

    Args:
        model: one of :data:`MODELS`; ``params`` are in COLMAP's order.
        what: names the camera in error messages.

    Raises:
        BadScene: if the model is not supported, or size, focal length or a parameter is out of range.
    """
    if model not in MODELS:
        raise BadScene(
            f"{what} has the camera model {model}; supported models are {', '.join(MODELS)}.",
            "Undistort the photographs with COLMAP and use the result.",
        )
    if not (width > 0 and height > 0):
        raise BadScene(f"{what} has an invalid size, {width} x {height}.")
    if not all(math.isfinite(value) for value in params):
        raise BadScene(f"{what} has a parameter that is not finite.")
    lens = Lens(model, tuple(float(value) for value in params), width, height)
    camera = lens.camera
    if not camera.verify_params():
        raise BadScene(f"{what} has {len(params)} parameters, which does not match {model}.")
    K = camera.calibration_matrix()
    if not (K[0, 0] > 0 and K[1, 1] > 0):
        raise BadScene(f"{what} has the focal length {K[0, 0]:g}, {K[1, 1]:g}; both must be greater than zero.")
    if camera.is_undistorted():
        return Calibration(K, width, height, None)
    return Calibration(pinhole(lens), width, height, lens)


def camera_for(file: Path, viewmat: NDArray[np.float64], calibration: Calibration) -> Camera:
    """Return the camera at the size of the photograph ``file``, which may be scaled ("images_4").

    Raises:
        BadScene: if the photograph's size is not a scaled size of the calibration.
    """
    width, height = image_size(file)
    camera = Camera(viewmat, calibration.K, calibration.width, calibration.height)
    # A scaled size is rounded up or down to whole pixels, so the factor must be in both ranges.
    low = max((width - 1) / camera.width, (height - 1) / camera.height)
    high = min((width + 1) / camera.width, (height + 1) / camera.height)
    if (width, height) != (camera.width, camera.height) and low >= high:
        turned = orientation(file)
        exif = f"; its EXIF orientation, {turned}, is ignored, as in COLMAP" if turned != 1 else ""
        raise BadScene(
            f"The photograph {file} is {width} x {height} pixels, but its camera has {camera.width} x "
            f"{camera.height}{exif}.",
            "Use photographs of the camera's size, or scale all of them by one factor.",
        )
    return camera.resized(width, height)
