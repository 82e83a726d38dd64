"""Planes that bound a scene, from sparse points: what bounds and what does not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from backend.geometry.planes import Plane
from backend.geometry.point_planes import FEWEST, point_planes
from backend.geometry.surface import Samples

EDGE = 0.05
EYES = np.array([[x, y, 1.5] for x in (-2.0, 0.0, 2.0) for y in (-2.0, 2.0)])


def floor(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return np.column_stack([rng.uniform(-2, 2, (count, 2)), rng.normal(0, 0.01, count)])


def above(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.uniform((-1, -1, 0.3), (1, 1, 1.5), (count, 3))


def below(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.uniform((-1, -1, -1.5), (1, 1, -0.3), (count, 3))


def seen(points: NDArray, eyes: NDArray = EYES) -> Samples:
    """Points that all cameras see."""
    views = np.repeat(np.arange(len(eyes), dtype=np.int32), len(points))
    points = np.tile(points, (len(eyes), 1))
    n = len(points)
    nothing, none = np.zeros((n, 3), np.float32), np.zeros((n, 1), np.int32)
    depths, weights = np.ones(n, np.float32), np.ones((n, 1), np.float32)
    return Samples(points, nothing, nothing, depths, none, weights, EDGE, views, np.zeros(n, bool), eyes)


def test_a_floor_is_found_among_other_points_and_mirrored_ones() -> None:
    rng = np.random.default_rng(0)
    bad = np.array([[np.nan, 0, 0], [np.inf, 0, 0]])
    points = np.concatenate([floor(300, rng), above(500, rng), below(100, rng)])
    (plane,) = point_planes(np.concatenate([points, bad]), seen(points), EDGE, rng)
    assert plane.normal == pytest.approx([0, 0, 1], abs=0.01)
    assert plane.offset == pytest.approx(0, abs=0.01)
    assert plane.share == pytest.approx(1 / 3, abs=0.03)
    assert 0.005 < plane.deviation < 0.015
    assert plane.tolerance == pytest.approx(max(3 * plane.deviation, 0.5 * EDGE))


@pytest.mark.parametrize(("behind", "bounds"), [(0, 1), (1, 1), (2, 0)])
def test_cameras_behind_keep_a_plane_from_bounding(behind: int, bounds: int) -> None:
    rng = np.random.default_rng(1)
    eyes = EYES.copy()
    eyes[:behind, 2] *= -1
    points = np.concatenate([floor(300, rng), above(500, rng)])
    assert len(point_planes(points, seen(points, eyes), EDGE, rng)) == bounds


@pytest.mark.parametrize(("place", "bounds"), [((0, 0, -0.5), 1), ((6, 0, -0.5), 0)], ids=["through it", "past it"])
def test_what_is_seen_past_its_edge_keeps_a_plane_from_bounding(place: tuple[float, float, float], bounds: int) -> None:
    """Fog of a floor is seen through it, and the floor beside a table past its edge."""
    rng = np.random.default_rng(1)
    points = np.concatenate([floor(300, rng), above(500, rng)])
    behind = np.array(place) + rng.uniform(-0.2, 0.2, (400, 3))
    assert len(point_planes(points, seen(np.concatenate([points, behind])), EDGE, rng)) == bounds


def test_the_top_of_a_box_is_too_small_to_bound() -> None:
    rng = np.random.default_rng(2)
    top = np.column_stack([rng.uniform(-0.3, 0.3, (300, 2)), rng.normal(0, 0.01, 300)])
    points = np.concatenate([top, 3 * above(500, rng)])
    assert point_planes(points, seen(points), EDGE, rng) == []


def test_points_along_a_line_in_the_floor_bound_nothing() -> None:
    rng = np.random.default_rng(2)
    line = np.column_stack([np.linspace(-3, 3, 300), np.zeros((300, 2))])
    points = np.concatenate([line, above(200, rng)])
    assert point_planes(points, seen(points), EDGE, rng) == []


def test_a_known_plane_is_not_returned_again() -> None:
    rng = np.random.default_rng(3)
    points = np.concatenate([floor(300, rng), above(300, rng)])
    known = Plane(np.array([0.0, 0.0, 1.0]), 0.01, 0.05, 0.5, 0.02)
    assert point_planes(points, seen(points), EDGE, rng, [known]) == []
    assert len(point_planes(points, seen(points), EDGE, rng, [known._replace(offset=-1.0)])) == 1


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((0, 3)),
        np.zeros((500, 3)),
        np.linspace((0, 0, 0), (1, 2, 3), 500),
        floor(FEWEST - 1, np.random.default_rng(4)),
        np.full((500, 3), np.nan),
        np.random.default_rng(5).uniform(-1, 1, (5000, 3)),
    ],
    ids=["no points", "one place", "a line", "too few", "not finite", "random"],
)
def test_points_without_a_plane(points: NDArray) -> None:
    assert point_planes(points, seen(points), EDGE, np.random.default_rng(0)) == []
