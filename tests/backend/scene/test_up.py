"""Up from the cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.scene.types import Camera, View
from backend.scene.up import FALLBACK, up_direction


def ring(count: int, tilt: float, up: np.ndarray) -> list[View]:
    """Cameras around an axis, all tilted down by the same angle."""
    across = np.linalg.svd(up[None])[2][1:]
    views = []
    for angle in np.linspace(0, 2 * np.pi, count, endpoint=False):
        out = np.cos(angle) * across[0] + np.sin(angle) * across[1]
        forward = -np.cos(tilt) * out - np.sin(tilt) * up
        right = np.cross(forward, up) / np.linalg.norm(np.cross(forward, up))
        viewmat = np.eye(4)
        viewmat[:3, :3] = np.stack([right, np.cross(forward, right), forward])
        views.append(View(str(angle), Camera(viewmat, np.eye(3), 2, 2), Path("a.png")))
    return views


@pytest.mark.parametrize("axis", [(0, 0, 1), (0, -1, 0), (1, 0, 0)])
def test_a_ring_of_tilted_cameras_tells_the_axis(axis):
    assert up_direction(ring(7, 0.6, np.array(axis, float))) == axis


def test_an_oblique_up_is_kept():
    up = np.array([1, 2, 2]) / 3
    assert np.allclose(up_direction(ring(8, 0.3, up)), up, atol=1e-5)


def test_cameras_that_disagree_say_nothing():
    upright, inverted = ring(4, 0.2, np.array([0, 0, 1.0])), ring(4, 0.2, np.array([0, 0, -1.0]))
    assert up_direction(upright + inverted) == FALLBACK
