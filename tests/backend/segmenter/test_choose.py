"""Photographs that cover a scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backend.scene.types import Camera, View
from backend.segmenter.choose import choose_views, enough


def camera_at(x: float, z: float, looks_back: bool = False) -> Camera:
    viewmat = np.eye(4)
    if looks_back:
        viewmat[:3, :3] = np.diag([-1.0, 1.0, -1.0])
    viewmat[:3, 3] = -viewmat[:3, :3] @ [x, 0.0, z]
    return Camera(viewmat, np.eye(3), 4, 3)


def views_at(*cameras: Camera) -> list[View]:
    return [View(str(i), camera, Path(f"{i}.png")) for i, camera in enumerate(cameras)]


def names(views: list[View]) -> list[str]:
    return [view.name for view in views]


def test_a_fifth_is_enough_and_at_least_sixteen():
    assert [enough(count) for count in (3, 16, 40, 80, 81, 1000)] == [3, 16, 16, 16, 17, 200]


def test_the_ends_of_a_row_are_chosen_and_what_is_next_to_them_is_not():
    views = views_at(*(camera_at(x, 0.0) for x in (0.0, 0.1, 0.2, 5.0, 9.8, 9.9, 10.0)))
    assert names(choose_views(views, 3)) == ["0", "3", "6"]


def test_of_cameras_at_one_place_those_that_look_elsewhere_are_chosen():
    views = views_at(camera_at(0, 0), camera_at(0, 0), camera_at(0, 0, looks_back=True))
    assert names(choose_views(views, 2)) == ["0", "2"]


def test_the_scale_of_the_scene_does_not_matter():
    rng = np.random.default_rng(3)
    places = rng.uniform(-1, 1, (30, 2))
    small, large = (views_at(*(camera_at(*(place * by)) for place in places)) for by in (0.01, 100.0))
    assert names(choose_views(small, 8)) == names(choose_views(large, 8))


def test_all_are_taken_where_there_are_no_more_and_none_twice():
    views = views_at(*(camera_at(0.0, 0.0) for _ in range(5)))
    assert names(choose_views(views, 9)) == ["0", "1", "2", "3", "4"]
    assert len(set(names(choose_views(views, 4)))) == 4
