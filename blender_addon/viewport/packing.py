"""Gaussians as the numbers that the shader reads. No bpy in here.

A row of four texels a Gaussian, and further texels for the higher spherical harmonics. Blender makes textures of
float32 only, so indices are floats as well; float32 holds every whole number up to 16,777,216.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocol.sh import SH0
from protocol.splats import Floats, Splats

BASE_TEXELS = 4
"""Texels of a Gaussian: centre and opacity; rotation; standard deviations and its object; colour and mark."""

MOST = 1 << 24
"""Gaussians that float32 can number."""

FAINTEST = 1 / 255
"""Opacity below which the renderer skips a Gaussian."""


class Packed(NamedTuple):
    """The Gaussians of one data-block that can be seen.

    Attributes:
        means: (N, 3) float32, in the frame of the data.
        base: (N, 4, 4) float32; the number of the object, ``[:, 2, 3]``, is 0.
        higher: (N, K, 3) float32, the spherical harmonics above the constant one; K is 0, 3, 8 or 15.
    """

    means: Floats
    base: Floats
    higher: Floats


def pack(splats: Splats, marks: NDArray[np.bool_] | None = None) -> Packed:
    """Return the Gaussians as the shader reads them, without those that are not finite or never visible.

    Args:
        marks: (N,) bool, the Gaussians that are shown in the colour of marks.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(splats.quats, axis=1)
        base = np.empty((len(splats), BASE_TEXELS, 4), np.float32)
        base[:, 0, :3], base[:, 0, 3] = splats.means, splats.alphas
        base[:, 1] = splats.quats / np.maximum(lengths, 1e-12)[:, None]
        base[:, 2, :3], base[:, 2, 3] = splats.sizes, 0
        base[:, 3, :3] = SH0 * splats.sh[:, 0] + 0.5
        base[:, 3, 3] = 0 if marks is None else marks
    seen = np.isfinite(base).all((1, 2)) & (base[:, 0, 3] >= FAINTEST) & np.isfinite(splats.sh).all((1, 2))
    if not seen.all():
        base = base[seen]
    return Packed(np.ascontiguousarray(base[:, 0, :3]), base, splats.sh[seen, 1:16])


def join(parts: Sequence[Packed]) -> Packed:
    """Return the Gaussians of several objects after one another, each with the number of its object."""
    most = max((part.higher.shape[1] for part in parts), default=0)
    counts = [len(part.means) for part in parts]
    total = sum(counts)
    means, base = np.empty((total, 3), np.float32), np.empty((total, BASE_TEXELS, 4), np.float32)
    higher = np.zeros((total, most, 3), np.float32)
    start = 0
    for number, (part, count) in enumerate(zip(parts, counts, strict=True)):
        rows = slice(start, start + count)
        means[rows], base[rows] = part.means, part.base
        base[rows, 2, 3] = number
        higher[rows, : part.higher.shape[1]] = part.higher
        start += count
    return Packed(means, base, higher)


def higher_texels(coefficients: int) -> int:
    """Return how many texels of four numbers hold so many triples."""
    return -(-3 * coefficients // 4)


def as_image(values: Floats, width: int) -> Floats:
    """Return texels (M, C) as the rows of an image (H, width, C), the last row filled up with zeros."""
    count, channels = values.shape
    height = max(1, -(-count // width))
    if count == height * width:
        return values.reshape(height, width, channels)
    image = np.zeros((height * width, channels), np.float32)
    image[:count] = values
    return image.reshape(height, width, channels)


def higher_as_texels(higher: Floats) -> Floats:
    """Return triples (N, K, 3) as texels (N * T, 4), T of :func:`higher_texels`; the last numbers are zeros."""
    count, coefficients, _ = higher.shape
    texels = higher_texels(coefficients)
    flat = np.zeros((count, 4 * texels), np.float32)
    flat[:, : 3 * coefficients] = higher.reshape(count, 3 * coefficients)
    return flat.reshape(count * texels, 4)
