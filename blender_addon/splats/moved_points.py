"""Applies moves of points to their Gaussians: after Blender's Apply and Join, or moves in Edit Mode.

These tools move the points of data, but do not change rotations, scales and spherical harmonics. So each point stores
the position where its Gaussian was written. If points have another position when they are read, the similarity
transform that explains all moves together is estimated and applied to the Gaussians. If no such transform exists, the
points moved independently, and only their positions change. The same holds for the native Gaussians of Blender 5.3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadSplats
from protocol.result.names import LABEL
from protocol.splats import Floats, Splats
from protocol.transform import transform

from .columns import read, read_positions

WRITTEN_AT = "splatlift_place"
"""Attribute, FLOAT_VECTOR: the position of a point when its Gaussian was written."""

ROUNDING = 4e-6
"""Tolerance for float32 rounding after a few operations, relative to the largest coordinate."""
_DETERMINED = 1000.0
"""Least spread of points in units of the rounding tolerance; with less, the transform cannot be determined."""


def with_moves_applied(data: Any, splats: Splats) -> Splats:
    """As :func:`apply_moves`, for Gaussians read from a data-block; unchanged if it stores no written positions."""
    if not len(splats) or WRITTEN_AT not in data.attributes:
        return splats
    return apply_moves(splats, read(data.attributes, WRITTEN_AT, "FLOAT_VECTOR", len(splats)))


def has_moved(data: Any) -> bool:
    """Whether points of a data-block differ from their written positions; False if it stores none."""
    if WRITTEN_AT not in data.attributes:
        return False
    means = read_positions(data)
    return not np.array_equal(means, read(data.attributes, WRITTEN_AT, "FLOAT_VECTOR", len(means)))


def apply_moves(splats: Splats, places: Floats) -> Splats:
    """Return ``splats`` with those rotated and scaled whose means moved together from ``places``, (N, 3).

    Moved Gaussians are grouped by label, because Join combines Gaussians of several labels.

    Raises:
        BadSplats: if they were scaled non-uniformly, mirrored or sheared.
    """
    moved = (splats.means != places).any(1)
    if not moved.any():
        return splats
    labels = splats.extra.get(LABEL, np.zeros(len(splats), np.int32))
    quats, scales, sh = splats.quats.copy(), splats.scales.copy(), splats.sh.copy()
    for label in np.unique(labels[moved]):
        rows = np.flatnonzero(moved & (labels == label))
        matrix = find_move(places[rows], splats.means[rows])
        if matrix is None or np.allclose(matrix[:3, :3], np.eye(3), rtol=0, atol=1e-5):
            continue
        there = transform(replace(splats.pick(rows), means=places[rows]), matrix)
        quats[rows], scales[rows], sh[rows] = there.quats, there.scales, there.sh
    return replace(splats, quats=quats, scales=scales, sh=sh)


def find_move(before: Floats, after: Floats) -> NDArray[np.float64] | None:
    """Return the matrix (4, 4) that maps points (N, 3) from ``before`` to ``after``, or None if there is none.

    The least-squares rotation, scale and translation (Umeyama 1991), if it maps all points within the tolerance.

    Raises:
        BadSplats: if the matrix contains a non-uniform scale, mirroring or shear, or a position is not finite.
    """
    if not np.isfinite(after).all():
        raise BadSplats("Points have positions that are not finite.", "Undo the edit that moved them, or delete them.")
    start, end = before.astype(np.float64), after.astype(np.float64)
    off = ROUNDING * max(np.abs(start).max(initial=0), np.abs(end).max(initial=0))
    centred, target = start - start.mean(0), end - end.mean(0)
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(centred.T @ centred / len(centred)), 0))
    known = int(np.count_nonzero(spread > _DETERMINED * off))
    if known < 2:  # collinear points may have been rotated about their line
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
