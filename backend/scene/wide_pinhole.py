"""`WidePinhole`: a pinhole camera that sees all that a photograph of a lens with distortion shows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.scene.lens import Lens
from backend.scene.types import Camera

WIDEST = 2.0
"""Most times that a pinhole camera which covers all of a photograph is wider than the photograph: what a lens bends
further in is cut off at its border."""


@dataclass(frozen=True)
class WidePinhole:
    """A pinhole camera that sees all that a photograph shows, and where in it each pixel of the photograph lies.

    Attributes:
        camera: the pinhole camera, of the photograph's resolution in the middle and larger than it.
        rows, columns: (H, W) int64, the pixel of ``camera`` that shows what the photograph's pixel shows.
    """

    camera: Camera
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]


def wide_pinhole(lens: Lens, camera: Camera) -> WidePinhole:
    """Return what a picture must be drawn with to be seen as the photograph of ``lens`` was taken.

    Args:
        camera: the undistorted camera of the photograph, at the size of the wanted picture.
    """
    width, height = camera.width, camera.height
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    taken = np.stack([columns.ravel() * lens.width / width, rows.ravel() * lens.height / height], 1)
    seen = np.asarray(lens.camera.cam_from_img(taken))
    drawn = seen * [camera.K[0, 0], camera.K[1, 1]] + [camera.K[0, 2], camera.K[1, 2]]
    # An integer margin on each side, so that the pixels of both cameras coincide where nothing is bent.
    most = (WIDEST - 1) / 2 * np.array([width, height])
    before = np.ceil(np.clip(-drawn.min(0), 0, most)).astype(int)
    after = np.ceil(np.clip(drawn.max(0) - [width, height], 0, most)).astype(int)
    K = camera.K.copy()
    K[:2, 2] += before
    wide = replace(camera, K=K, width=width + before[0] + after[0], height=height + before[1] + after[1])
    place = np.floor(drawn + before).astype(np.int64)
    place = np.clip(place, 0, [wide.width - 1, wide.height - 1]).reshape(height, width, 2)
    return WidePinhole(wide, place[..., 1], place[..., 0])
