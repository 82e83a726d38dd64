"""Surfaces of fields: closed or open, without strays, within a budget."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from backend.objects.mesh.closing import close
from backend.objects.mesh.fusion import Field
from backend.objects.mesh.surface import Triangles, extract, finish, is_closed, surface_of

CELL = 0.05


def field(distance, seen) -> Field:
    """Functions of points (..., 3) sampled on a grid from -1.5 to 1.5."""
    axis = np.arange(-1.5, 1.5 + CELL / 2, CELL)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)
    values = np.clip(distance(points) / (4 * CELL), -1, 1).astype(np.float32)
    weight = np.where(seen(points), 1, 0).astype(np.float32)
    return Field(values * weight, weight, np.full(3, -1.5), CELL)


def sphere(points):
    return np.linalg.norm(points, axis=-1) - 1


def shape(surface: Triangles | None) -> trimesh.Trimesh:
    assert surface is not None
    return trimesh.Trimesh(surface.vertices, surface.faces, process=False)


def shell(points):
    """What cameras see of a ball: its surface and the space around it."""
    return sphere(points) > -0.15


def test_a_ball_seen_from_everywhere_is_closed_and_all_seen() -> None:
    surface = extract(field(sphere, shell), watertight=False)
    assert shape(surface).is_watertight
    assert shape(surface).volume == pytest.approx(4 / 3 * np.pi, rel=0.02)
    assert surface is not None
    assert not surface.invented.any()


def test_an_unseen_bottom_stays_open_or_is_closed_by_a_plane() -> None:
    def seen(points):
        return shell(points) & (points[..., 2] > -0.5)

    cut = field(sphere, seen)
    opened, closed = extract(cut, watertight=False), extract(cut, watertight=True)
    assert not shape(opened).is_watertight
    assert shape(closed).is_watertight
    assert opened is not None
    assert closed is not None
    assert opened.vertices[:, 2].min() > -0.55
    caps = closed.vertices[closed.faces[closed.invented]].reshape(-1, 3)
    assert np.abs(caps[:, 2] + 0.5).max() < 2 * CELL
    # A ball without the cap of height 0.5.
    assert shape(closed).volume == pytest.approx(4 / 3 * np.pi - np.pi * 0.25 * (3 - 0.5) / 3, rel=0.03)


def test_small_holes_are_closed_and_marked() -> None:
    def seen(points):
        return shell(points) & (np.linalg.norm(points - [0, 0, 1], axis=-1) > 0.15)

    surface = extract(field(sphere, seen), watertight=False)
    assert shape(surface).is_watertight
    assert surface is not None
    assert 0 < surface.invented.mean() < 0.05


def test_strays_are_left_out() -> None:
    def two(points):
        return np.minimum(np.linalg.norm(points, axis=-1) - 0.8, np.linalg.norm(points - 1.1, axis=-1) - 0.12)

    surface = extract(field(two, lambda points: two(points) > -0.15), watertight=False)
    assert shape(surface).body_count == 1
    assert np.abs(shape(surface).vertices).max() < 0.9


def test_nothing_seen_has_no_surface() -> None:
    assert extract(field(sphere, lambda points: points[..., 0] > 9), watertight=True) is None
    assert extract(field(lambda points: sphere(points) + 9, shell), watertight=False) is None


def test_a_flat_surface_has_no_hull_and_stays_as_it_was_seen() -> None:
    level = field(lambda points: points[..., 2], lambda points: points[..., 2] > -0.1)
    flat = np.random.default_rng(0).uniform(-1, 1, (50, 3)) * [1, 1, 0]
    assert (close(level, flat)[~level.seen] == 1).all()


def test_a_budget_is_kept_and_marks_stay_where_they_were() -> None:
    cut = field(sphere, lambda points: shell(points) & (points[..., 2] > -0.5))
    closed = extract(cut, watertight=True)
    assert closed is not None
    fewer = finish(closed, 1500)
    assert len(fewer.faces) <= 1500
    assert shape(fewer).volume == pytest.approx(shape(closed).volume, rel=0.03)
    heights = fewer.vertices[fewer.faces].mean(1)[:, 2]
    assert heights[fewer.invented].max() < -0.4
    assert heights[~fewer.invented].min() > -0.6
    as_it_was = finish(closed, len(closed.faces))
    assert len(as_it_was.faces) == len(closed.faces)


@pytest.mark.parametrize("budget", [300, 1500, 6000])
def test_a_closed_surface_is_closed_within_its_budget(budget: int) -> None:
    cut = field(sphere, lambda points: shell(points) & (points[..., 2] > -0.5))
    closed = surface_of(cut, True, budget)
    assert closed is not None
    assert len(closed.faces) <= budget
    assert is_closed(closed.faces)
    assert shape(closed).is_watertight


def test_a_coarser_grid_has_the_same_surface() -> None:
    cut = field(sphere, lambda points: shell(points) & (points[..., 2] > -0.5))
    fine, coarse = extract(cut, True), extract(cut, True, 0.6)
    assert coarse is not None
    assert fine is not None
    assert len(coarse.faces) < 0.5 * len(fine.faces)
    assert is_closed(coarse.faces)
    assert shape(coarse).bounds == pytest.approx(shape(fine).bounds, abs=CELL)
    assert shape(coarse).volume == pytest.approx(shape(fine).volume, rel=0.03)


def test_three_faces_at_an_edge_are_not_closed() -> None:
    assert is_closed(np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]]))
    assert not is_closed(np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0], [0, 1, 4]]))
