"""Cameras: frames."""

from __future__ import annotations

import numpy as np

from backend.scene.pose import looking_at
from backend.scene.types import Camera


def test_points_in_front_of_a_camera_have_their_depth_and_side():
    eye, target = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 8.0])
    camera = Camera(looking_at(eye, target, [0.0, -1.0, 0.0]), np.eye(3), 4, 4)
    seen = camera.from_world(np.array([[1, 2, 3], [1, 2, 8], [1.5, 2.25, 8]], np.float64))
    assert np.allclose(seen, [[0, 0, 0], [0, 0, 5], [0.5, 0.25, 5]])
    assert np.allclose(camera.from_world(camera.centre), 0)
