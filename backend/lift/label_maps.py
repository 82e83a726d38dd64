"""Labels of pixels: the argmax of blended labels.

Labels are blended, not embeddings: two codes blended at an outline would give a third code of no object.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backend.render.label_image import label_image_of
from backend.render.types import Contributions
from backend.scene.lens import Lens
from backend.scene.types import Camera
from backend.scene.wide_pinhole import wide_pinhole


class Labeller(Protocol):
    """The interface of :class:`backend.render.Renderer` for label maps."""

    def labels(self, camera: Camera, labels: NDArray[np.integer], background: float) -> NDArray[np.int32]: ...


def label_map(
    source: Labeller | Contributions, labels: NDArray[np.integer], camera: Camera, background: float = 1.0
) -> NDArray[np.int32]:
    """Return the label with the largest contribution to each pixel.

    Args:
        source: the renderer of the Gaussians, or their contributions to pixels of this camera.
        labels: (N,) integer, label of each Gaussian; 0 is background.
        camera: defines height and width.
        background: weight of the background's light relative to that of an object.

    Returns:
        (height, width) int32. Light that passes all Gaussians counts as background, as do pixels without an entry in
        ``source``. Ties go to the lowest label.
    """
    if isinstance(source, Contributions):
        return label_image_of(source, labels, camera, background)
    return source.labels(camera, labels, background)


def photograph_label_map(
    source: Labeller, labels: NDArray[np.integer], lens: Lens | None, camera: Camera
) -> NDArray[np.int32]:
    """Return the label with the largest contribution to each pixel of the original photograph, with lens distortion.

    Args:
        source, labels: as in :func:`label_map`.
        lens: the distortion of the photograph, or None.
        camera: of its view, undistorted, at the requested size.

    Returns:
        (height, width) int32, aligned with the photograph and its mask.
    """
    if lens is None:
        return label_map(source, labels, camera)
    whole = wide_pinhole(lens, camera)
    return label_map(source, labels, whole.camera)[whole.rows, whole.columns]
