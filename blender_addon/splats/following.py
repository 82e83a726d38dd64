"""Gaussians follow where their points were moved to: by Blender's Apply and Join, or in Edit Mode.

Those move the points of data and know nothing of rotations, scales and spherical harmonics. So data remember where each
point was written. Where points are elsewhere when they are read, the one move that took them all there is found and
carried out on the Gaussians. Points that were moved by themselves have moved, and that is all. That holds for the
Gaussians that Blender 5.3 draws by itself as well: its tools move their points and nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.result.names import LABEL
from protocol.splats import Floats, Splats
from protocol.transform import transform

from .columns import read, read_positions

PLACE = "splatlift_place"
"""Attribute, FLOAT_VECTOR: where a point was when its Gaussian was written."""

_ROUNDING = 4e-6
"""How far float32 may be off after a few steps, of the largest coordinate."""
_DETERMINED = 1000.0
"""Number of repetitions as far apart points are at least as they may be off, or nothing can be told from them."""


def followed(data: Any, splats: Splats) -> Splats:
    """As :func:`follow`, for what was read of a data-block; as it is where the data do not remember."""
    if not len(splats) or PLACE not in data.attributes:
        return splats
    return follow(splats, read(data.attributes, PLACE, "FLOAT_VECTOR", len(splats)))


def has_moved(data: Any) -> bool:
    """Whether points of a data-block that remembers where they were are elsewhere now."""
    if PLACE not in data.attributes:
        return False
    means = read_positions(data)
    return not np.array_equal(means, read(data.attributes, PLACE, "FLOAT_VECTOR", len(means)))


def follow(splats: Splats, places: Floats) -> Splats:
    """Return ``splats``, those turned and scaled whose means were moved from ``places``, (N, 3), as one.

    As one means all that were moved, of one label: Join brings Gaussians of several labels together.

    Raises:
        BadSplats: if they were scaled unevenly, mirrored or sheared.
    """
    moved = (splats.means != places).any(1)
    if not moved.any():
        return splats
    labels = splats.extra.get(LABEL, np.zeros(len(splats), np.int32))
    quats, scales, sh = splats.quats.copy(), splats.scales.copy(), splats.sh.copy()
    for label in np.unique(labels[moved]):
        rows = np.flatnonzero(moved & (labels == label))
        matrix = move_between(places[rows], splats.means[rows])
        if matrix is None or np.allclose(matrix[:3, :3], np.eye(3), rtol=0, atol=1e-5):
            continue
        there = transform(replace(splats.pick(rows), means=places[rows]), matrix)
        quats[rows], scales[rows], sh[rows] = there.quats, there.scales, there.sh
    return replace(splats, quats=quats, scales=scales, sh=sh)


def move_between(before: Floats, after: Floats) -> NDArray[np.float64] | None:
    """Return the matrix (4, 4) that takes points (N, 3) from one place to another, or None where no single one does.

    The rotation, scale and translation of least squares (Umeyama 1991), if they meet all points.

    Raises:
        BadSplats: if a matrix takes them there that is scaled unevenly, mirrored or sheared.
    """
    start, end = before.astype(np.float64), after.astype(np.float64)
    off = _ROUNDING * max(np.abs(start).max(initial=0), np.abs(end).max(initial=0))
    centred, target = start - start.mean(0), end - end.mean(0)
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(centred.T @ centred / len(centred)), 0))
    known = int(np.count_nonzero(spread > _DETERMINED * off))
    if known < 2:  # points on a line may have been turned about it
        return None
    left, stretches, right = np.linalg.svd(target.T @ centred)
    mirror = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    similar = (left * mirror) @ right * ((stretches * mirror).sum() / (centred**2).sum())
    if np.abs(centred @ similar.T - target).max() <= off:
        linear = similar
    else:
        linear = np.linalg.lstsq(centred, target, rcond=None)[0].T
        if known < 3 or np.abs(centred @ linear.T - target).max() > off:
            return None
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = end.mean(0) - linear @ start.mean(0)
    return matrix
