from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from backend.progress import Cancelled
from backend.reconstruct.initial import BARE, bare_share, gaussians_at, initial_points, viewing_distance
from backend.reconstruct.photographs import Photograph
from tests.backend.reconstruct.cameras import looking_at, photograph_of_floor, ring, texture

NO_POINTS = np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8)


@pytest.fixture(scope="module")
def floor() -> list[Photograph]:
    return [photograph_of_floor(camera) for camera in ring(12, (120, 90), 100.0, 2.0, 3.5)]


def test_without_sparse_points_the_first_points_lie_on_surfaces_in_their_colours(floor):
    points, colours = initial_points(*NO_POINTS, floor, 800, seed=0)
    assert len(points) > 600
    # The cameras stand 3.5 above the floor, and see it from about 4 away.
    assert np.median(np.abs(points[:, 2])) < 0.08
    assert (np.abs(points[:, 2]) < 0.3).mean() > 0.85
    near = np.abs(points[:, 2]) < 0.05
    expected = 255 * texture(points[near, :2].astype(float))
    assert np.median(np.abs(colours[near] - expected)) < 15


def test_the_same_seed_finds_the_same_points(floor):
    first, second = (initial_points(*NO_POINTS, floor, 100, seed=4)[0] for _ in range(2))
    assert np.array_equal(first, second)


def test_black_photographs_and_single_photographs_still_give_points(floor):
    black = [dataclasses.replace(photo, image=torch.zeros_like(photo.image)) for photo in floor]
    for photos in (black, floor[:1]):
        points, colours = initial_points(*NO_POINTS, photos, 200, seed=0)
        assert len(points) == len(colours) == 200
        assert np.isfinite(points).all()


def test_photographs_of_different_sizes(floor):
    cameras = [*ring(6, (120, 90), 100.0, 2.0, 3.5), *ring(5, (70, 100), 90.0, 2.0, 3.5)]
    mixed = [photograph_of_floor(camera) for camera in cameras]
    points, _ = initial_points(*NO_POINTS, mixed, 300, seed=0)
    assert np.median(np.abs(points[:, 2])) < 0.1


def test_the_search_can_be_cancelled(floor):
    def stop(stage: str, fraction: float, note: str = "") -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        initial_points(*NO_POINTS, floor, 100, seed=0, progress=stop)


def test_sparse_points_are_used_where_there_are_enough(floor):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(5000, 3)).astype(np.float32) * np.float32(3)
    points[7] = np.nan
    points[9, 1] = 1e30
    colours = rng.integers(0, 256, (5000, 3), dtype=np.uint8)
    got, _ = initial_points(points, colours, floor, 10_000, seed=0)
    assert np.array_equal(got, np.delete(points, [7, 9], axis=0))
    fewer, fewer_colours = initial_points(points, colours, floor, 100, seed=0)
    rows = [int(np.flatnonzero((points == point).all(1))[0]) for point in fewer]
    assert len(set(rows)) == 100
    assert np.array_equal(colours[rows], fewer_colours)


def test_surfaces_fill_the_number_where_sparse_points_leave_photographs_bare(floor):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(500, 3)).astype(np.float32) * np.float32(0.3)
    colours = rng.integers(0, 256, (500, 3), dtype=np.uint8)
    assert bare_share(points, [photo.camera for photo in floor]) > BARE
    got, got_colours = initial_points(points, colours, floor, 1000, seed=0)
    assert np.array_equal(got[:500], points)
    assert np.array_equal(got_colours[:500], colours)
    assert 800 < len(got) <= 1000
    assert np.median(np.abs(got[500:, 2])) < 0.1


def test_the_bare_share_counts_cells_without_a_point():
    # 80 x 40 pixels: 8 x 4 cells of 10 pixels. One point in front of the middle fills one cell.
    camera = looking_at([3, 0, 4], [0, 0, 0], (80, 40), 100.0)
    assert bare_share(np.array([[0.01, 0.01, 0]], np.float32), [camera]) == pytest.approx(31 / 32)
    assert bare_share(np.array([[6, 0.01, 8]], np.float32), [camera]) == 1.0


def test_a_pixel_more_or_less_makes_no_row_of_bare_cells():
    points = np.random.default_rng(0).uniform(-9, 9, (20000, 3)).astype(np.float32)
    points[:, 2] = 0
    for size in ((80, 40), (81, 40), (79, 41), (201, 151)):
        camera = looking_at([0.1, 0, 4], [0, 0, 0], size, 100.0)
        assert bare_share(points, [camera]) == 0.0


def test_sparse_points_far_from_the_origin_of_the_capture_are_no_strays(floor):
    points = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32) + np.float32(3e6)
    cameras = [dataclasses.replace(photo, camera=photo.camera.moved(np.full(3, 3e6))) for photo in floor]
    got, _ = initial_points(points, np.zeros((500, 3), np.uint8), cameras, 500, seed=0)
    assert set(map(tuple, got)) == set(map(tuple, points))


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_points_that_no_photograph_shows_or_all_in_one_place_give_way_to_surfaces(floor, caplog, spread):
    draws = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    useless = spread * (draws + np.array([0, 0, 80], np.float32))
    points, _ = initial_points(useless, np.zeros((500, 3), np.uint8), floor, 300, seed=0)
    assert np.median(np.abs(points[:, 2])) < 0.1
    assert "too few sparse points" in caplog.text


def test_viewing_distance_is_the_median_depth():
    cameras = [looking_at(centre, [0, 0, 0.5], (60, 60), 60.0) for centre in ([4, 0, 0.5], [0, 4, 0.5])]
    points = np.random.default_rng(0).normal(0, 0.1, (200, 3)).astype(np.float32) + np.array([0, 0, 0.5], np.float32)
    assert viewing_distance(points, cameras) == pytest.approx(4, abs=0.05)
    assert viewing_distance(points + np.array([0, 0, 900], np.float32), cameras) == pytest.approx(900, rel=0.01)


def test_gaussians_show_the_colours_and_reach_their_neighbours():
    grid = np.stack(np.meshgrid(*[np.arange(5.0)] * 3), -1).reshape(-1, 3).astype(np.float32)
    colours = np.tile(np.array([[255, 0, 51]], np.uint8), (len(grid), 1))
    columns = gaussians_at((grid, colours), 50.0, 1, "cpu")
    torch.testing.assert_close(columns["scales"].exp(), torch.full((125, 3), 0.7))
    torch.testing.assert_close(
        0.28209479 * columns["sh"][:, 0] + 0.5, torch.tensor([1.0, 0.0, 0.2]).expand(125, 3), atol=1e-5, rtol=0
    )
    assert columns["sh"].shape == (125, 4, 3)
    alone = gaussians_at((grid[:1], colours[:1]), 50.0, 0, "cpu")
    assert all(column.isfinite().all() for column in alone.values())
    twins = gaussians_at((grid[[0, 0]], colours[:2]), 50.0, 0, "cpu")
    assert float(twins["scales"].detach().exp().min()) == pytest.approx(50 * 9e-4, rel=1e-4)
