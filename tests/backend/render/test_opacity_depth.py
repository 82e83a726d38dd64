"""Depths at which Gaussians become opaque."""

from __future__ import annotations

import numpy as np
import pytest

from backend.render.model import ALPHA_MAX
from backend.render.opacity_depth import LEFT_OVER, DepthRenderer
from tests.backend.reconstruct.test_floaters import above
from tests.backend.reconstruct.walls import joined, splats_at, wall


def single(size: float, logit: float, z: float = 0.0):
    return splats_at(np.array([[0.0, 0.0, z]]), np.full(3, size), logit)


def test_a_ball_becomes_opaque_where_its_own_rise_says() -> None:
    """One Gaussian of alpha a: 1 - a exp(-x^2 / 2) = LEFT_OVER at x deviations in front of its centre."""
    drawn = DepthRenderer(single(0.4, 9.0)).draw(above(0.0))
    ahead = 0.4 * np.sqrt(2 * np.log(ALPHA_MAX / (1 - LEFT_OVER)))
    assert drawn.ids[32, 32] == 0
    assert drawn.depth[32, 32] == pytest.approx(3 - ahead, abs=0.01)


def test_rough_depths_are_those_of_the_middle_of_the_light() -> None:
    both = joined(single(0.05, -1.0, z=1.0), wall(z=0.0))
    drawn = DepthRenderer(both).draw(above(0.0), rough=True)
    assert drawn.depth[32, 32] == pytest.approx(3.0, abs=1e-3)
    assert drawn.ids[32, 32] > 0


def test_what_is_mostly_transparent_has_no_depth() -> None:
    for rough in (False, True):
        drawn = DepthRenderer(single(0.4, -1.0)).draw(above(0.0), rough)
        assert (drawn.ids == -1).all()
        assert (drawn.depth == 0).all()


def test_a_tilted_flat_gaussian_is_met_where_its_plane_is() -> None:
    turn = np.radians(45)
    plate = splats_at(np.zeros((1, 3)), np.array([2.0, 2.0, 1e-4]), 9.0)
    plate.quats[0] = [np.cos(turn / 2), 0, np.sin(turn / 2), 0]  # about y: the plane z = -x
    drawn = DepthRenderer(plate).draw(above(0.0))
    columns = np.array([20, 32, 44])
    across = (columns + 0.5 - 32) / (1.5 * 64)
    # On the ray (across, _, 1) from (0, 0, 3) looking down: z = 3 - t, x = across t, and z = -x.
    assert drawn.depth[32, columns] == pytest.approx(3 / (1 - across), rel=2e-3)


def test_faint_layers_add_up_and_the_same_call_gives_the_same_bits() -> None:
    rng = np.random.default_rng(0)
    cloud = splats_at(rng.normal(size=(400, 3)) * [0.4, 0.4, 0.05], np.full(3, 0.15), -1.5)
    renderer = DepthRenderer(cloud)
    first, second = renderer.draw(above(0.0)), renderer.draw(above(0.0))
    assert first.depth.tobytes() == second.depth.tobytes()
    assert 2.6 < first.depth[32, 32] < 3.0
