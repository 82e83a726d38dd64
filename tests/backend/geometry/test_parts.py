"""Two boxes that only touch stay two; one box in two colours becomes one."""

import numpy as np
from numpy.typing import NDArray

from backend.geometry.parts import merge_weak

SIDE = 16


def plate(*corner: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return the points of a level square of ``SIDE`` voxels a side, of edge 1, and their normals."""
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    points = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], 1) + np.array(corner)
    return points.astype(np.float64), np.tile(np.array([0, 0, 1], np.float32), (len(points), 1))


def merged(
    *parts: tuple[NDArray[np.float64], NDArray[np.float32]], smallest: int = 100, standing: int = 1
) -> NDArray[np.int64]:
    """Return the parts after merging; the first ``standing`` of them rest on the ground."""
    points, normals = (np.concatenate(each) for each in zip(*parts, strict=True))
    group = np.repeat(np.arange(len(parts)), [len(each[0]) for each in parts])
    return merge_weak(points, normals, group, group < standing, smallest, 1.8)


def test_parts_with_a_long_flush_border_become_one():
    assert len(np.unique(merged(plate(0, 0, 0), plate(SIDE, 0, 0)))) == 1


def test_a_part_that_touches_at_a_corner_stays():
    assert len(np.unique(merged(plate(0, 0, 0), plate(SIDE, SIDE - 2, 0)))) == 2


def test_parts_that_both_stand_become_one_only_along_a_long_border():
    # 3 n - 2 pairs are neighbours along an edge of n voxels: 2.9 times the root of 256 voxels, 6.6 times that of 48.
    points, normals = plate(0, 0, 0)
    strip = points[:, 0] < 2.5
    beside = (points[strip] + [SIDE, 0, 0], normals[strip])
    assert len(np.unique(merged((points, normals), plate(SIDE, 0, 0), standing=2, smallest=30))) == 2
    assert len(np.unique(merged((points, normals), beside, standing=2, smallest=30))) == 1


def test_a_part_across_a_deep_fold_stays():
    points, normals = plate(0, 0, 0)
    wall = np.stack([np.full(len(points), float(SIDE)), points[:, 1], points[:, 0] + 1], 1)
    inwards = np.tile(np.array([-1, 0, 0], np.float32), (len(points), 1))
    assert len(np.unique(merged((points, normals), (wall, inwards)))) == 2
    assert len(np.unique(merged((points, normals), (wall, -inwards)))) == 1


def test_a_small_part_is_joined_wherever_it_touches():
    assert len(np.unique(merged(plate(0, 0, 0), plate(SIDE, SIDE - 2, 0), smallest=SIDE**2 + 1))) == 1
