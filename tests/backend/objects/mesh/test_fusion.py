"""Depths fused into a field."""

from __future__ import annotations

import numpy as np

from backend.objects.mesh.fusion import TRUNCATION, fuse
from backend.objects.mesh.object_views import Box, ObjectView
from tests.backend.objects.mesh.making import camera

BOX = Box(np.full(3, -0.5), np.full(3, 0.5))
CELL = 0.05


def look(depth: float, free: float = 0.0, facing: float = 1.0) -> ObjectView:
    """A camera at (0, 0, 4) that sees a level surface, or nothing up to a depth, in all of its picture."""
    one = camera((0, 0, 4), focal=3.0)
    shape = (one.height, one.width)
    full = np.full(shape, depth, np.float32)
    return ObjectView(
        one, full, np.full(shape, facing if depth else 0, np.float32), np.full(shape, free, np.float32), 0
    )


def along_z(field) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    middle = field.distance.shape[0] // 2, field.distance.shape[1] // 2
    z = field.low[2] + field.cell * np.arange(field.distance.shape[2])
    return z, field.distance[middle], field.weight[middle]


def test_distances_are_signed_and_cut_off() -> None:
    z, distance, weight = along_z(fuse(BOX, CELL, [look(4.0)]))
    reach = TRUNCATION * CELL
    near = np.abs(z) < 0.9 * reach
    np.testing.assert_allclose(distance[near], z[near] / reach, atol=1e-4)
    assert (distance[z > reach] == 1).all()
    assert (weight[z < -1.01 * reach] == 0).all()


def test_two_looks_are_averaged() -> None:
    z, distance, _ = along_z(fuse(BOX, CELL, [look(4.0), look(4.02)]))
    crossing = np.interp(0, distance[np.abs(z) < 0.1], z[np.abs(z) < 0.1])
    assert abs(crossing + 0.01) < 2e-3


def test_free_space_says_outside_and_no_more_than_it_knows() -> None:
    z, distance, weight = along_z(fuse(BOX, CELL, [look(0.0, free=4.0)]))
    assert (distance[z > 0.2] == 1).all()
    assert (weight[z < 0] == 0).all()
    _, _, hidden = along_z(fuse(BOX, CELL, [look(0.0)]))
    assert (hidden == 0).all()
