"""Gaussians in front of surfaces, told from surfaces."""

from __future__ import annotations

import numpy as np

from backend.reconstruct.floaters import light_in_front
from backend.scene.types import Camera
from tests.backend.reconstruct.walls import joined, splats_at, wall


def above(x: float, size: int = 64) -> Camera:
    """Three units above the wall, looking down, beside the middle."""
    viewmat = np.diag([1.0, -1.0, -1.0, 1.0])
    viewmat[:3, 3] = -viewmat[:3, :3] @ np.array([x, 0, 3.0])
    return Camera(viewmat, np.array([[1.5 * size, 0, size / 2], [0, 1.5 * size, size / 2], [0, 0, 1]]), size, size)


CAMERAS = [above(x) for x in (-0.4, -0.2, 0.0, 0.2, 0.4)]
FLOATERS = np.array([[0.1, 0.0, 1.5], [-0.2, 0.1, 1.2], [0.0, -0.2, 1.8]])


def test_faint_gaussians_before_a_wall_are_floaters_and_the_wall_is_none() -> None:
    splats = joined(wall(), splats_at(FLOATERS, np.full(3, 0.05), -1.0))
    share = light_in_front(splats, CAMERAS, 0.15, "cpu", 0).photographs
    assert share[-3:].min() > 0.9
    assert share[:-3].max() < 0.05


def test_a_wall_before_a_wall_is_none() -> None:
    splats = joined(wall(), wall(z=1.0))
    assert light_in_front(splats, CAMERAS, 0.15, "cpu", 0).photographs.max() < 0.05


def test_light_within_the_margin_counts_as_of_the_surface() -> None:
    splats = joined(wall(), splats_at(FLOATERS * [1, 1, 0.05], np.full(3, 0.02), -1.0))
    assert light_in_front(splats, CAMERAS, 0.15, "cpu", 0).photographs[-3:].max() < 0.05


def test_what_no_camera_sees_is_kept() -> None:
    splats = joined(wall(), splats_at(np.array([[0.0, 0.0, 9.0]]), np.full(3, 0.05), 2.0))
    assert light_in_front(splats, CAMERAS, 0.15, "cpu", 0).photographs[-1] == 0


def test_layers_that_hide_each_other_are_found_in_views_beside() -> None:
    """Faint Gaussians on one ray of all cameras are opaque together; a camera beside them sees through each."""
    layers = np.array([[0.0, 0.0, z] for z in np.linspace(1.0, 2.2, 40)])
    splats = joined(wall(), splats_at(layers, np.full(3, 0.03), -2.0))
    cameras = [above(x) for x in (-0.02, -0.01, 0.0, 0.01, 0.02)] * 8
    found = light_in_front(splats, cameras, 0.15, "cpu", 0, novel=True)
    assert (found.photographs[-40:] > 0.4).mean() < 0.8
    assert (found.novel[-40:] > 0.4).all()
    assert found.novel[:-40].max() < 0.1
    assert not light_in_front(splats, cameras, 0.15, "cpu", 0).novel.any()
