"""The density level set of an object."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from backend.objects.mesh.level_set import level_set
from protocol.splats import Splats
from tests.backend.objects.making import ball, two_balls


@pytest.fixture(scope="module")
def sphere():
    return ball((3, -2, 1), 1.0, 1500, np.random.default_rng(1))


def test_a_shell_of_gaussians_becomes_one_closed_ball(sphere):
    mesh = level_set(sphere)
    assert mesh is not None
    shape = trimesh.Trimesh(mesh.vertices, mesh.faces)
    assert shape.is_watertight
    assert shape.body_count == 1, "the hollow inside is filled, so there is no inner wall"
    assert np.allclose(shape.center_mass, (3, -2, 1), atol=0.05)
    # n Gaussians of size s spread over a unit sphere pile up to n s^2 / 2 on it and fall off as one does, cut at 3 s.
    radius = 1 + 0.12 * np.sqrt(2 * np.log(1500 * 0.12**2 / 2 / 0.3))
    assert shape.volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.1), "positive: faces look outwards"
    assert (mesh.colours[:, 0] > 200).all()
    assert (mesh.colours[:, 1] < 60).all()


def test_nothing_and_the_transparent_have_no_surface(sphere):
    assert level_set(sphere.pick(np.zeros(len(sphere), bool))) is None
    faint = Splats(sphere.means, sphere.quats, sphere.scales, sphere.opacities * 0 - 9, sphere.sh)
    assert level_set(faint) is None


def test_one_gaussian_and_a_zero_quaternion():
    splats, _ = two_balls()
    one = splats.pick(np.array([3]))
    one = Splats(one.means, one.quats * 0, one.scales, one.opacities, one.sh)
    mesh = level_set(one)
    assert mesh is not None
    assert np.allclose(mesh.vertices.mean(0), one.means[0], atol=0.02)
