"""Labels of pixels: the argmax of blended labels.

Labels are blended, not embeddings: two codes blended at an outline would give a third code of no object.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backend.compiled import kernel
from backend.render.types import Contributions
from backend.scene.lens import Lens
from backend.scene.types import Camera
from backend.scene.wide_pinhole import wide_pinhole
from backend.threads import spread

STRONGEST = 32
"""Gaussians per pixel requested from a renderer."""

LEAST = 4096
"""Least number of pixels per thread."""


class Contributor(Protocol):
    """The required interface of :class:`backend.render.Renderer`."""

    def contributions(self, camera: Camera, pixels: NDArray[np.int64] | None, k: int) -> Contributions: ...


def label_map(
    source: Contributor | Contributions, labels: NDArray[np.integer], camera: Camera, background: float = 1.0
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
    contributions = source if isinstance(source, Contributions) else source.contributions(camera, None, STRONGEST)
    out = np.zeros(camera.height * camera.width, np.int32)
    strongest = np.zeros(len(contributions.pixels), np.int32)
    spread(
        _strongest,
        len(strongest),
        contributions.ids,
        contributions.weights,
        labels.astype(np.int32),
        np.float32(background),
        strongest,
        least=LEAST,
    )
    out[contributions.pixels] = strongest
    return out.reshape(camera.height, camera.width)


def photograph_label_map(
    source: Contributor, labels: NDArray[np.integer], lens: Lens | None, camera: Camera
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


@kernel()
def _strongest(begin, end, ids, weights, labels, factor, out):  # pragma: no cover - compiled
    k = ids.shape[1]
    seen = np.empty(k, np.int32)
    sums = np.empty(k, np.float32)
    for p in range(begin, end):
        count = 0
        background = np.float32(1.0)
        for j in range(k):
            w = weights[p, j]
            if w <= 0:
                continue
            label = labels[ids[p, j]]
            if label == 0:
                continue
            background -= w
            at = 0
            while at < count and seen[at] != label:
                at += 1
            if at == count:
                seen[at] = label
                sums[at] = np.float32(0.0)
                count += 1
            sums[at] += w
        best = factor * background
        for at in range(count):
            if sums[at] > best or (sums[at] == best and seen[at] < out[p]):
                best = sums[at]
                out[p] = seen[at]
