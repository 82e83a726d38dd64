"""Conversion between the axes of a file and those of a 3DGS PLY: right, down, front.

Axes are three letters that give the directions of x, y and z: right or left, up or down, front or back. For left-handed
axes the Gaussians are mirrored; a mirrored Gaussian is again a Gaussian, with another rotation.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from protocol.splats import Floats, Splats
from protocol.transform import transform

PLY = {"R": (1, 0, 0), "L": (-1, 0, 0), "D": (0, 1, 0), "U": (0, -1, 0), "F": (0, 0, 1), "B": (0, 0, -1)}
"""The letters as vectors in the axes of a PLY."""

PARITIES = ("y", "z", "x", "xy", "yz", "", "xz", "", "y", "xyz", "y", "z", "x", "z", "x")
"""Axes that occur with an odd power in the polynomial of each coefficient of bands 1 to 3; a coefficient changes its
sign with each of them."""


def to_ply_axes(splats: Splats, axes: str) -> Splats:
    """Return ``splats`` with ``axes`` such as "RUB" converted to the axes of a PLY."""
    matrix = np.array([PLY[letter] for letter in axes], float).T
    signs = np.diag(matrix)
    if np.count_nonzero(signs) == 3:
        return _flipped(splats, signs)
    if np.linalg.det(matrix) < 0:
        mirror = np.array([-1.0, 1.0, 1.0])
        splats, matrix = _flipped(splats, mirror), matrix * mirror
    placed = np.eye(4)
    placed[:3, :3] = matrix
    return transform(splats, placed)


def from_ply_axes(splats: Splats, axes: str) -> Splats:
    """Return ``splats`` of a PLY in the axes "RUB" or "LUF". Both are half a turn away, so only signs change.

    :func:`to_ply_axes` restores the same bits.
    """
    return to_ply_axes(splats, axes)


def band_signs(signs: NDArray) -> Floats:
    """Return the factors (15,) of the coefficients of bands 1 to 3 under ``signs`` (3,), the signs of x, y and z."""
    by_letter = dict(zip("xyz", signs, strict=True))
    return np.array([np.prod([by_letter[letter] for letter in parity]) for parity in PARITIES], np.float32)


def _flipped(splats: Splats, signs: NDArray) -> Splats:
    """Return Gaussians with negated axes; x, y, z of a quaternion are a pseudovector."""
    factors = signs.astype(np.float32)
    sh = splats.sh.copy()
    sh[:, 1:] *= band_signs(signs)[: sh.shape[1] - 1, None]
    quats = splats.quats.copy()
    quats[:, 1:] *= factors * factors.prod()
    return replace(splats, means=splats.means * factors, quats=quats, sh=sh)
