"""Distances, connected pieces and neighbourhoods, against brute force."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from blender_addon.editing.neighbours import around, connected, usual_distance  # noqa: E402

pytestmark = pytest.mark.usefixtures("every_form")


def distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None].astype(float) - points[None], axis=2)


@pytest.mark.parametrize("count", [2, 5, 150, 3000])
def test_the_usual_distance_is_the_median_to_the_sixth_neighbour(count: int) -> None:
    points = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32) * (1, 5, 1)
    sixth = np.sort(distances(points), axis=1)[:, min(6, count - 1)]
    # Of many points only some are asked.
    tolerance = 1e-5 if count <= 200 else 0.1 * float(np.median(sixth))
    assert usual_distance(points.astype(np.float32)) == pytest.approx(float(np.median(sixth)), abs=tolerance)


def test_points_in_one_place_have_no_distance() -> None:
    assert usual_distance(np.zeros((1, 3), np.float32)) == 0
    assert usual_distance(np.zeros((0, 3), np.float32)) == 0
    assert usual_distance(np.ones((9, 3), np.float32)) == 0
    assert connected(np.ones((9, 3), np.float32), 0.0).tolist() == [0] * 9


@pytest.mark.parametrize("seed", range(8))
def test_pieces_join_what_is_near_and_part_what_is_far(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = (rng.random((400, 3)) * (10, 10, 2)).astype(np.float32)
    width = 0.5
    numbers = connected(points, width)
    apart = distances(points)
    # Nothing nearer than a cell is parted, nothing further than two cells' diagonal is joined directly.
    near = np.argwhere(apart < width)
    assert (numbers[near[:, 0]] == numbers[near[:, 1]]).all()
    reach = apart <= 2 * np.sqrt(3) * width
    for number in range(numbers.max() + 1):
        own = np.flatnonzero(numbers == number)
        seen = {int(own[0])}
        edge = [int(own[0])]
        while edge:
            for other in np.flatnonzero(reach[edge.pop()] & (numbers == number)).tolist():
                if other not in seen:
                    seen.add(other)
                    edge.append(other)
        assert seen == set(own.tolist())
    assert (np.diff(np.bincount(numbers)) <= 0).all()


def test_a_long_chain_is_one_piece() -> None:
    line = np.zeros((5000, 3), np.float32)
    line[:, 0] = np.random.default_rng(0).permutation(5000)
    assert connected(line, 1.0).max() == 0
    line[line[:, 0] > 2500, 0] += 3
    assert np.bincount(connected(line, 1.0)).tolist() == [2501, 2499]


@pytest.mark.parametrize("seed", range(4))
def test_around_reaches_half_as_far_surely_and_never_twice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.random((600, 3)).astype(np.float32)
    rows = rng.random(600) < 0.02
    found = around(points, rows, 0.2)
    nearest = distances(points)[:, rows].min(1)
    assert found[nearest < 0.1].all()
    assert not found[nearest > 0.4].any()
    assert found[rows].all()
    assert not around(points, np.zeros(600, bool), 0.2).any()
