"""Cameras beside those of the photographs, for checks of what no photograph shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from backend.scene.types import Camera

ANGLES = 5.0, 25.0
"""Range of the angle between a photograph's camera and the one beside it, degrees. Held-out views of a walk around an
object are 3 to 29 degrees from the photographs."""


def beside(camera: Camera, depth: float, rng: np.random.Generator) -> Camera:
    """Return the camera turned about a point at ``depth`` in front of it, in scene units, in a random direction."""
    axes = camera.viewmat[:3, :3]
    around = rng.uniform(0, 2 * np.pi)
    axis = np.cos(around) * axes[0] + np.sin(around) * axes[1]
    turn = Rotation.from_rotvec(axis * np.radians(rng.uniform(*ANGLES))).as_matrix()
    target = camera.centre + depth * axes[2]
    viewmat = np.eye(4)
    viewmat[:3, :3] = axes @ turn.T
    viewmat[:3, 3] = -viewmat[:3, :3] @ (target + turn @ (camera.centre - target))
    return replace(camera, viewmat=viewmat)
