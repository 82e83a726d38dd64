"""The demonstration room: its geometry is checked by projecting what was traced."""

from __future__ import annotations

import numpy as np
import pytest

from backend.demo.scene import look_at_room
from backend.demo.world import ROOM, World


@pytest.fixture(scope="module")
def world():
    return World.random(9, np.random.default_rng(4))


def test_solids_stand_apart_on_the_floor(world):
    assert {solid.kind for solid in world.solids} == {"box", "sphere", "cylinder"}
    for i, one in enumerate(world.solids):
        assert one.centre[2] == one.half[2]
        for other in world.solids[:i]:
            assert np.hypot(*(one.centre - other.centre)[:2]) > max(one.half[0], other.half[0])


def test_many_solids_find_room() -> None:
    assert len(World.random(60, np.random.default_rng(4)).solids) == 60


def test_hits_lie_on_the_surfaces_and_project_back_to_their_pixels(world):
    camera = look_at_room(3, 48)
    points, normals, ids = world.trace(camera, 0.5, 0.5)
    local = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    pixels = local @ camera.K.T
    pixels = pixels[..., :2] / pixels[..., 2:]
    x, y = np.meshgrid(np.arange(48) + 0.5, np.arange(48) + 0.5)
    assert np.allclose(pixels[..., 0], x, atol=1e-6)
    assert np.allclose(pixels[..., 1], y, atol=1e-6)
    assert np.allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-6)
    toward = camera.centre - points
    assert ((normals * toward).sum(-1) > -1e-9).all(), "every normal looks at the camera"
    for number, solid in enumerate(world.solids, start=1):
        hits = points[ids == number] - solid.centre
        if solid.kind == "sphere":
            assert np.allclose(np.linalg.norm(hits, axis=-1), solid.half[0])
        else:
            assert (np.abs(hits[:, 2]) <= solid.half[2] + 1e-9).all()
    walls = points[ids == 0]
    assert np.allclose(np.minimum(np.abs(np.abs(walls) - ROOM), np.abs(walls[:, [2]])).min(-1), 0, atol=1e-9)


def test_same_seed_same_photograph(world):
    camera = look_at_room(0, 32)
    again = World.random(9, np.random.default_rng(4))
    assert np.array_equal(world.photograph(camera)[0], again.photograph(camera)[0])
