"""Poses from files: validated, and converted to world-to-camera matrices with OpenCV axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.errors import BadScene

TOLERANCE = 1e-3
"""Largest deviation of R R^T from the identity: files may store rotations with only four digits."""
OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
"""OpenGL and Blender cameras look along -z with y up, OpenCV's along +z with y down."""


def rigid(matrix: ArrayLike, what: str) -> NDArray[np.float64]:
    """Return ``matrix`` as a (4, 4) float64 rigid transform, with its rotation made exactly orthonormal.

    Args:
        matrix: (3, 4) or (4, 4).
        what: names the pose in error messages.

    Raises:
        BadScene: if the shape is wrong, a value is not finite, or the 3 x 3 part is not a rotation.
    """
    try:
        pose = np.asarray(matrix, np.float64)
    except (ValueError, TypeError) as error:
        raise BadScene(f"{what} is not a matrix: its rows differ in length.") from error
    if pose.shape not in ((3, 4), (4, 4)):
        raise BadScene(f"{what} has shape {pose.shape}; (4, 4) or (3, 4) is expected.")
    if not np.isfinite(pose).all():
        raise BadScene(f"{what} contains a value that is not finite.", "Remove the photograph from the capture.")
    R = pose[:3, :3]
    # The first condition keeps the products below finite.
    if np.abs(R).max() > 2 or np.abs(R @ R.T - np.eye(3)).max() > TOLERANCE or np.linalg.det(R) < 0:
        raise BadScene(f"{what} is not a rotation: its axes are scaled, skewed or mirrored.", "Apply the scale first.")
    U, _, Vt = np.linalg.svd(R)
    result = np.eye(4)
    result[:3, :3] = U @ Vt
    result[:3, 3] = pose[:3, 3]
    return result


def viewmat_from_opengl(camera_to_world: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert a rigid camera-to-world matrix with OpenGL axes to a (4, 4) world-to-camera matrix with OpenCV axes."""
    return np.linalg.inv(camera_to_world @ OPENGL_TO_OPENCV)


def looking_at(
    eye: NDArray[np.float64], target: NDArray[np.float64], up: NDArray[np.float64] | Sequence[float]
) -> NDArray[np.float64]:
    """Return the (4, 4) float64 world-to-camera matrix with OpenCV axes of an upright camera.

    Args:
        eye: (3,), the camera's position.
        target: (3,), the point in the middle of its image.
        up: (3,), of any length and not along the line of sight.
    """
    ahead = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(ahead, up)
    right /= np.linalg.norm(right)
    viewmat = np.eye(4)
    viewmat[:3, :3] = np.stack([right, np.cross(ahead, right), ahead])
    viewmat[:3, 3] = -viewmat[:3, :3] @ eye
    return viewmat
