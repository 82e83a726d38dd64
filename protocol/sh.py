"""Real spherical harmonics of degree 0 to 3: the basis of view-dependent colour, and its rotation.

Order and signs are those of 3DGS and gsplat: band l holds m = -l..l, with the Condon-Shortley phase
(Sloan, "Efficient Spherical Harmonic Evaluation", JCGT 2(2), 2013).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.splats import Floats

SH0 = 0.28209479177387814
"""The constant spherical harmonic, 1 / (2 sqrt(pi)): the colour of degree 0 is ``0.5 + SH0 * sh0``."""

_C1 = np.sqrt(3 / (4 * np.pi))
_C2 = np.sqrt(15 / (4 * np.pi)) * np.array([1, -1, np.sqrt(1 / 12), -1, 1 / 2])
_C3 = np.sqrt(35 / (32 * np.pi)) * np.array(
    [-1, np.sqrt(24), -np.sqrt(3 / 5), np.sqrt(2 / 5), -np.sqrt(3 / 5), np.sqrt(6), -1]
)


def sh_basis(degree: int, directions: NDArray) -> NDArray[np.float64]:
    """Return the basis functions up to ``degree`` at unit ``directions``.

    The colour that a Gaussian shows along a direction is ``0.5 + sh_basis(degree, direction) @ sh``.

    Args:
        degree: 0 to 3.
        directions: (..., 3), from the camera to the Gaussian, unit length.

    Returns:
        (..., (degree + 1)^2) float64.
    """
    x, y, z = np.moveaxis(np.asarray(directions, np.float64), -1, 0)
    bands = [
        [SH0 * np.ones_like(x)],
        [-_C1 * y, _C1 * z, -_C1 * x],
        [_C2[0] * x * y, _C2[1] * y * z, _C2[2] * (3 * z * z - 1), _C2[3] * x * z, _C2[4] * (x * x - y * y)],
        [
            _C3[0] * y * (3 * x * x - y * y),
            _C3[1] * x * y * z,
            _C3[2] * y * (5 * z * z - 1),
            _C3[3] * z * (5 * z * z - 3),
            _C3[4] * x * (5 * z * z - 1),
            _C3[5] * z * (x * x - y * y),
            _C3[6] * x * (x * x - 3 * y * y),
        ],
    ]
    return np.stack([function for band in bands[: degree + 1] for function in band], -1)


def sh_rotation(degree: int, rotation: NDArray) -> NDArray[np.float64]:
    """Return the matrix D, block-diagonal per band, that rotates SH coefficients together with their Gaussian.

    ``sh_basis(degree, R d) @ (D @ sh) == sh_basis(degree, d) @ sh`` for all directions d. A band is closed under
    rotation, so its block follows exactly from the basis at a few directions P: ``B(P) D = B(R^T P)``.

    Args:
        degree: 0 to 3.
        rotation: (3, 3), orthonormal with determinant 1.

    Returns:
        ((degree + 1)^2, (degree + 1)^2) float64, orthonormal.
    """
    matrix = np.zeros(((degree + 1) ** 2, (degree + 1) ** 2))
    seen = sh_basis(degree, _DIRECTIONS)
    turned = sh_basis(degree, _DIRECTIONS @ rotation)
    for band in range(degree + 1):
        rows = slice(band**2, (band + 1) ** 2)
        matrix[rows, rows] = np.linalg.lstsq(seen[:, rows], turned[:, rows], rcond=None)[0]
    return matrix


def rotate_sh(sh: Floats, rotation: NDArray) -> Floats:
    """Return SH coefficients (N, K, 3) float32 after a rotation (3, 3) of the Gaussians.

    The constant band keeps its bits; if ``rotation`` is exactly the identity, all bands do.
    """
    count, terms, channels = sh.shape
    if terms == 1 or np.array_equal(rotation, np.eye(3)):
        return sh
    matrix = sh_rotation(int(np.sqrt(terms)) - 1, rotation)[1:, 1:].astype(np.float32)
    # One large matrix product with the channels side by side avoids a transposition.
    turned = sh[:, 1:].reshape(count, (terms - 1) * channels) @ np.kron(matrix, np.eye(channels, dtype=np.float32)).T
    return np.concatenate([sh[:, :1], turned.reshape(count, terms - 1, channels)], 1)


def _sphere(count: int) -> NDArray[np.float64]:
    """Return ``count`` directions spread evenly over the sphere (Fibonacci spiral), (count, 3)."""
    turn = np.arange(count) * np.pi * (3 - np.sqrt(5))
    z = 1 - (2 * np.arange(count) + 1) / count
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), z], -1)


_DIRECTIONS = _sphere(32)
