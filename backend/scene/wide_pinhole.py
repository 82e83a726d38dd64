"""`WidePinhole`: a pinhole camera that sees everything in a photograph with lens distortion."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.scene.lens import Lens
from backend.scene.types import Camera

WIDEST = 2.0
"""Largest ratio between the widths of the pinhole camera and the photograph; a photograph that needs more is cut off at
its border."""


@dataclass(frozen=True)
class WidePinhole:
    """A pinhole camera that sees everything in a photograph, and the position of each photograph pixel in it.

    Attributes:
        camera: the pinhole camera, with the photograph's resolution at the centre, and larger than it.
        rows, columns: (H, W) int64, the pixel of ``camera`` that corresponds to the photograph's pixel.
    """

    camera: Camera
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]


def wide_pinhole(lens: Lens, camera: Camera) -> WidePinhole:
    """Return the camera to render with and the mapping that applies the distortion of ``lens`` to its image.

    Args:
        camera: the undistorted camera of the photograph, at the requested size.
    """
    width, height = camera.width, camera.height
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    taken = np.stack([columns.ravel() * lens.width / width, rows.ravel() * lens.height / height], 1)
    seen = np.asarray(lens.camera.cam_from_img(taken))
    # A lens with extreme coefficients cannot be inverted everywhere; those pixels show the border.
    drawn = np.nan_to_num(seen * [camera.K[0, 0], camera.K[1, 1]] + [camera.K[0, 2], camera.K[1, 2]], nan=-1.0)
    # An integer margin on each side, so that the pixels of both cameras coincide without distortion.
    most = (WIDEST - 1) / 2 * np.array([width, height])
    before = np.ceil(np.clip(-drawn.min(0), 0, most)).astype(int)
    after = np.ceil(np.clip(drawn.max(0) - [width, height], 0, most)).astype(int)
    K = camera.K.copy()
    K[:2, 2] += before
    wide = replace(camera, K=K, width=width + before[0] + after[0], height=height + before[1] + after[1])
    place = np.floor(drawn + before).astype(np.int64)
    place = np.clip(place, 0, [wide.width - 1, wide.height - 1]).reshape(height, width, 2)
    return WidePinhole(wide, place[..., 1], place[..., 0])
