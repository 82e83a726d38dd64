"""Rigid motion and uniform scale of Gaussians: applies an object matrix of Blender to a splat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadSplats
from protocol.sh import rotate_sh
from protocol.splats import Floats, Splats

TOLERANCE = 1e-4
"""Tolerance for equal lengths and right angles of the axes; a chain of float32 matrices is off by about 1e-6."""

ROUNDING = 1e-6
"""Entries this close to those of the identity are a rounding of float32, no rotation or scale."""

APPLY = "Undo that transform, or export the object as a mesh."


def transform(splats: Splats, matrix: NDArray) -> Splats:
    """Return ``splats`` transformed by ``matrix``: a point p goes to ``matrix[:3, :3] @ p + matrix[:3, 3]``.

    With scale s and rotation R: means become s R p + t, quats q_R q, log s is added to log-scales, and SH coefficients
    are rotated. Extra columns are kept. The exact identity keeps all bits; a translation keeps those of all other
    columns, also if the matrix has the rounding of float32.

    Args:
        splats: N Gaussians.
        matrix: (4, 4), rotation, translation and one positive scale, such as Blender's ``matrix_world``.

    Raises:
        BadSplats: if the matrix is anything else, because the columns cannot represent the result, or if Gaussians
            leave the range of float32.
    """
    matrix = np.asarray(matrix, np.float64)
    rotation, scale = decompose(matrix)
    with np.errstate(over="ignore"):
        means = (splats.means @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)
    if not np.isfinite(means).all():
        raise BadSplats("The matrix moves Gaussians out of the range of float32.", "Move or scale them less.")
    if np.abs(matrix[:3, :3] - np.eye(3)).max() <= ROUNDING:
        return replace(splats, means=means)
    return replace(
        splats,
        means=means,
        quats=_multiply(_quaternion(rotation), splats.quats),
        scales=splats.scales + np.float32(np.log(scale)),
        sh=rotate_sh(splats.sh, rotation),
    )


def decompose(matrix: NDArray) -> tuple[NDArray[np.float64], float]:
    """Return the rotation (3, 3) and the uniform scale of a matrix (4, 4).

    Raises:
        BadSplats: if the matrix is not a rotation, a translation and one positive scale, within :data:`TOLERANCE`.
    """
    matrix = np.asarray(matrix, np.float64)
    if matrix.shape != (4, 4):
        raise BadSplats(f"A matrix has shape {matrix.shape}; (4, 4) is expected.")
    if not np.isfinite(matrix).all():
        raise BadSplats("The matrix contains NaN or infinity.", "Reset the object's transform.")
    if np.abs(matrix[3] - [0, 0, 0, 1]).max() > TOLERANCE:
        raise BadSplats("The matrix contains a perspective projection, which cannot be applied to Gaussians.", APPLY)
    largest = np.abs(matrix[:3, :3]).max()
    if largest == 0:
        raise BadSplats("The matrix has a scale of zero.", APPLY)
    axes = matrix[:3, :3] / largest  # so that products neither underflow nor overflow
    left, stretches, right = np.linalg.svd(axes)
    if stretches[2] < 1e-6 * stretches[0]:
        raise BadSplats("The matrix has a scale of zero along one axis.", APPLY)
    if np.linalg.det(axes) < 0:
        raise BadSplats("The matrix mirrors, which cannot be applied to Gaussians.", APPLY)
    scale = float(np.cbrt(stretches.prod()))
    gram = axes.T @ axes / scale**2 - np.eye(3)
    if np.abs(gram[~np.eye(3, dtype=bool)]).max() > TOLERANCE:
        raise BadSplats("The matrix shears, which cannot be applied to Gaussians.", APPLY)
    if np.abs(gram).max() > TOLERANCE:
        lengths = ", ".join(f"{length:.6g}" for length in np.linalg.norm(matrix[:3, :3], axis=0))
        raise BadSplats(
            f"The matrix has a non-uniform scale ({lengths}), which cannot be applied to spherical harmonics.", APPLY
        )
    rotation = axes if np.array_equal(axes, np.eye(3)) else left @ right
    return rotation, scale * float(largest)


def _quaternion(rotation: NDArray) -> NDArray[np.float64]:
    """Return the unit quaternion (w, x, y, z), w >= 0, of a rotation (3, 3).

    The eigenvector of largest eigenvalue (Bar-Itzhack, "New method for extracting the quaternion from a rotation
    matrix", 2000): no case distinction, and well-conditioned everywhere.
    """
    (a, b, c), (d, e, f), (g, h, i) = rotation
    form = np.array(
        [
            [a + e + i, h - f, c - g, d - b],
            [h - f, a - e - i, b + d, c + g],
            [c - g, b + d, e - a - i, f + h],
            [d - b, c + g, f + h, i - a - e],
        ]
    )
    quat = np.linalg.eigh(form)[1][:, -1]
    return quat if quat[0] >= 0 else -quat


def _multiply(quat: NDArray[np.float64], quats: Floats) -> Floats:
    """Return the Hamilton products of ``quat`` (4,) with each of ``quats`` (N, 4), wxyz; lengths are kept."""
    w, x, y, z = quat
    left = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    return (quats @ left.T).astype(np.float32)
