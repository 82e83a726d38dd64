"""Origins of objects: the points that they turn and scale about in Blender.

Gaussians have coordinates of the capture until the origin of their object is moved. Then it is a property of the object
how far, and exports add it again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from protocol.splats import Floats, Splats

from .attributes import is_splats
from .columns import read, read_positions, write, write_positions
from .moved_points import WRITTEN_AT

Place = Literal["BASE", "CENTRE"]

ORIGIN = "splatlift_origin"
"""Custom property of Gaussians: the origin of their data in the frame of the capture, if it was moved."""
UNMOVED = 1e-6
"""Matrix entries this close to the identity are float32 rounding in Blender, not a transform by the user."""
SOLID = 0.3
"""Opacity from which on a Gaussian counts for the extent of an object."""
OUTERMOST = 1.0
"""Per cent of the Gaussians at each end of an axis that do not count, as there may be floaters among them."""


def origin_of(thing: Any) -> NDArray[np.float64]:
    """Return how far the origin of an object with Gaussians is from that of the capture, in its axes, (3,)."""
    return np.array(thing.get(ORIGIN, (0.0, 0.0, 0.0)), np.float64)


def is_unmoved(matrix: NDArray[np.float64], origin: NDArray[np.float64]) -> bool:
    """Whether a matrix (4, 4) from the frame of an object to that of the capture is that of its origin alone."""
    return bool(np.allclose(matrix, translation(origin), rtol=UNMOVED, atol=UNMOVED))


def translation(by: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the matrix (4, 4) that moves points by (3,)."""
    matrix = np.eye(4)
    matrix[:3, 3] = by
    return matrix


def moved(splats: Splats, by: NDArray[np.float64]) -> Splats:
    """Return Gaussians moved by (3,), rounded to float32; the same ones if that is zero."""
    return replace(splats, means=(splats.means + by).astype(np.float32)) if by.any() else splats


def extent_of(splats: Splats) -> Floats:
    """Return points (P, 3) that tell how far Gaussians reach: the opaque ones, the outermost ones moved inwards."""
    solid = splats.alphas >= SOLID
    means = splats.means[solid] if solid.any() else splats.means
    if not len(means):
        return means
    low, high = np.percentile(means, [OUTERMOST, 100 - OUTERMOST], axis=0)
    return np.clip(means, low, high).astype(np.float32)


def origin_at(points: Floats, matrix: NDArray[np.float64], place: Place) -> NDArray[np.float64]:
    """Return where the middle of the bounds of points (P, 3) is, or below that their lowest point.

    Bounds and height are those in the world; the returned point (3,) is in the frame of the points, rounded to float32.

    Args:
        matrix: (4, 4), from that frame to the world; invertible.
    """
    there = points @ matrix[:3, :3].T + matrix[:3, 3]
    low, high = there.min(0), there.max(0)
    target = (low + high) / 2
    if place == "BASE":
        target[2] = low[2]
    return np.linalg.solve(matrix, [*target, 1])[:3].astype(np.float32).astype(np.float64)


def shift(data: Any, by: NDArray[np.float64]) -> None:
    """Move all points of a mesh or point cloud by (3,)."""
    before = read_positions(data)
    moved = (before + by).astype(np.float32)
    write_positions(data, moved)
    if is_splats(data) and WRITTEN_AT in data.attributes:
        written = read(data.attributes, WRITTEN_AT, "FLOAT_VECTOR", len(before))
        write(data.attributes, WRITTEN_AT, np.where(written == before, moved, (written + by).astype(np.float32)))
    data.update_tag()
