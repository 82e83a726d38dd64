"""`Lens`: converts a photograph with lens distortion to the image of a pinhole camera.

The pinhole camera has the photograph's size and principal point. Its focal length gives the widest view that contains
no pixel from outside the photograph, as in COLMAP's undistorter with ``blank_pixels = 0``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from backend.colmap_library import pycolmap
from protocol.errors import BadScene

BORDER_STEPS = 64


@dataclass(frozen=True)
class Lens:
    """A perspective lens with distortion.

    Attributes:
        model: COLMAP's name of the model, such as "OPENCV".
        params: its parameters in COLMAP's order, in pixels of a width x height photograph.
        width, height: the size of the calibration; images of other sizes are treated as scaled.
    """

    model: str
    params: tuple[float, ...]
    width: int
    height: int

    @property
    def camera(self) -> pycolmap.Camera:
        return pycolmap.Camera(model=self.model, params=list(self.params), width=self.width, height=self.height)


@lru_cache(maxsize=64)
def _focal_factor(lens: Lens) -> float:
    """Return the factor on the focal length at which the pinhole camera just fits into the lens's view."""
    camera = lens.camera
    w, h = float(lens.width), float(lens.height)
    along = np.linspace(0.0, 1.0, BORDER_STEPS)
    zero, one = np.zeros_like(along), np.ones_like(along)
    sides = {"left": (zero, along), "right": (one, along), "top": (along, zero), "bottom": (along, one)}
    seen = {side: np.asarray(camera.cam_from_img(np.stack([x * w, y * h], 1))) for side, (x, y) in sides.items()}
    K = camera.calibration_matrix()
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = np.array(
            [
                -cx / fx / seen["left"][:, 0].max(),
                (w - cx) / fx / seen["right"][:, 0].min(),
                -cy / fy / seen["top"][:, 1].max(),
                (h - cy) / fy / seen["bottom"][:, 1].min(),
            ]
        )
    if not (np.isfinite(factors).all() and (factors > 0).all()):
        raise BadScene(
            f"The distortion of the {lens.model} camera with parameters {list(lens.params)} cannot be inverted at "
            f"the border of a {lens.width} x {lens.height} photograph.",
            "Undistort the photographs with COLMAP and use the result.",
        )
    return float(factors.max())


def pinhole(lens: Lens) -> NDArray[np.float64]:
    """Return the (3, 3) float64 intrinsics of the undistorted camera, at the lens's own size.

    Raises:
        BadScene: if the distortion cannot be inverted at the photograph's border.
    """
    K = lens.camera.calibration_matrix()
    K[0, 0] *= _focal_factor(lens)
    K[1, 1] *= _focal_factor(lens)
    return K


# A capture usually has one lens, used at one size for photographs and another for masks.
@lru_cache(maxsize=2)
def _source(lens: Lens, width: int, height: int) -> NDArray[np.float32]:
    """Return (2, height, width) float32: row and column, as array indices, of the source of each pinhole pixel."""
    scale = np.array([lens.width / width, lens.height / height])
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = np.stack([columns.ravel() * scale[0], rows.ravel() * scale[1], np.ones(columns.size)])
    rays = np.linalg.solve(pinhole(lens), pixels)
    drawn = lens.camera.img_from_cam(np.ascontiguousarray(rays.T)) / scale - 0.5
    return drawn.T[::-1].reshape(2, height, width).astype(np.float32)


def undistort_image(lens: Lens, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the (H, W, C) image as seen by the pinhole camera, with bilinear interpolation."""
    source = _source(lens, pixels.shape[1], pixels.shape[0])
    # Round, because map_coordinates truncates when it writes integers.
    channels = [
        map_coordinates(channel.astype(np.float32), source, order=1, mode="nearest")
        for channel in np.moveaxis(pixels, 2, 0)
    ]
    return np.clip(np.rint(np.stack(channels, 2)), 0, 255).astype(np.uint8)


def undistort_mask(lens: Lens, ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the (H', W') id map as seen by the pinhole camera, with nearest-neighbour interpolation."""
    height, width = ids.shape
    rows, columns = np.rint(_source(lens, width, height)).astype(np.intp)
    return ids[rows.clip(0, height - 1), columns.clip(0, width - 1)]
