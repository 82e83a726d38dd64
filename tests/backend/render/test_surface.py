"""Depths at which rays meet Gaussians."""

from __future__ import annotations

import numpy as np
import pytest

from backend.render.surface import LightSource
from tests.backend.reconstruct.test_floaters import above
from tests.backend.reconstruct.walls import joined, splats_at, wall


def test_a_tilted_flat_gaussian_is_met_where_its_plane_is() -> None:
    """Its centre would be wrong by half a unit at the rim of the view."""
    turn = np.radians(45)
    plate = splats_at(np.zeros((1, 3)), np.array([2.0, 2.0, 1e-4]), 4.0)
    plate.quats[0] = [np.cos(turn / 2), 0, np.sin(turn / 2), 0]  # about y: the plane z = -x
    camera = above(0.0)
    pixels = np.array([32 * 64 + column for column in (8, 20, 32, 44, 56)])
    light = LightSource(plate, "cpu").light(camera, pixels)
    across = (pixels % 64 + 0.5 - 32) / (1.5 * 64)
    # On the ray (across, _, 1) from (0, 0, 3) looking down: z = 3 - t, x = across t, and z = -x.
    assert light.depths[:, 0] == pytest.approx(3 / (1 - across), rel=2e-3)


def test_the_surface_is_where_half_of_the_light_has_come() -> None:
    splats = joined(wall(z=0.0), splats_at(np.array([[0.0, 0.0, 1.0]]), np.array([0.5, 0.5, 0.002]), -2.0))
    light = LightSource(splats, "cpu").light(above(0.0), np.array([32 * 64 + 32]))
    assert light.surface[0] == pytest.approx(3.0, abs=1e-3)
    assert light.depths[0, light.ids[0] == len(splats) - 1] == pytest.approx(2.0, abs=1e-3)


def test_numbers_of_gaussians_are_those_of_the_splats() -> None:
    assert len(LightSource(wall(across=5), "cpu")) == 25
