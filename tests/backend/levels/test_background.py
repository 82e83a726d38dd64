"""What is background: pieces that no other view cuts alike, and planes."""

from __future__ import annotations

import numpy as np
import pytest

from backend.levels.background import background_wholes, in_planes, shares_in_picture
from backend.levels.overlap import overlap_of
from backend.scene.types import Camera
from bench.scenes import make_scene
from tests.backend.levels.rows import row_votes

OBJECT = range(10)
GROUP = np.array([0] * 10 + [1] * 30, np.int32)
WEIGHT = np.ones(40)
NOWHERE = np.zeros(40, bool)
WHOLLY = np.ones(2)


def test_what_is_cut_elsewhere_in_each_view_is_background():
    cut = [[OBJECT, [*range(10, 27), 40, *range(41, 60)]], [OBJECT, [*range(22, 40), *range(40, 60)]], [OBJECT]]
    votes = row_votes(cut, 60)
    group = np.append(GROUP, np.full(20, -1)).astype(np.int32)
    overlap = overlap_of(votes, group)
    assert overlap.fitted().tolist() == [1, 0]
    found = background_wholes(overlap, group, np.ones(60), np.zeros(60, bool), WHOLLY)
    assert found.tolist() == [False, True]


def test_a_missed_object_is_no_background():
    votes = row_votes([[OBJECT, range(10, 40)], [range(10, 40)], [range(10, 40)], [OBJECT]], 40)
    assert not background_wholes(overlap_of(votes, GROUP), GROUP, WEIGHT, NOWHERE, WHOLLY).any()


def test_a_plane_is_background_however_well_its_mask_fits():
    votes = row_votes([[OBJECT, range(10, 40)]] * 3, 40)
    overlap = overlap_of(votes, GROUP)
    inside = GROUP == 1
    assert background_wholes(overlap, GROUP, WEIGHT, inside, WHOLLY).tolist() == [False, True]


@pytest.mark.parametrize(("size", "expected"), [(3, False), (20, True)])
def test_a_small_flat_thing_on_a_plane_is_a_thing(size: int, expected: bool):
    group = np.where(np.arange(40) < size, 0, 1).astype(np.int32)
    votes = row_votes([[range(size), range(size, 40)]] * 3, 40)
    found = background_wholes(overlap_of(votes, group), group, WEIGHT, np.ones(40, bool), WHOLLY)
    assert found.tolist() == [expected, True]


@pytest.mark.parametrize(("share", "expected"), [(1.0, False), (0.5, True)])
def test_what_photographs_cut_off_needs_fitting_masks_in_nearly_all_views(share: float, expected: bool):
    wall, wider = range(10, 40), range(10, 90)
    votes = row_votes([[OBJECT, wall]] * 4 + [[OBJECT, wider]], 90)
    group = np.append(GROUP, np.full(50, -1)).astype(np.int32)
    overlap = overlap_of(votes, group)
    assert overlap.fitted().tolist() == [1, 0.8]
    found = background_wholes(overlap, group, np.ones(90), np.zeros(90, bool), np.array([1, share]))
    assert found.tolist() == [False, expected]


def test_the_share_of_an_object_in_the_photographs_that_show_it():
    camera = Camera(np.eye(4), np.array([[10, 0, 5], [0, 10, 5], [0, 0, 1.0]]), 10, 10)
    away = np.diag([1.0, -1, -1, 1])
    behind = Camera(away, camera.K, 10, 10)
    means = np.array([[0, 0, 1], [0.4, 0.4, 1], [0.6, 0, 1], [0, 0, -1], [9, 9, 9]], np.float32)
    whole, weight = np.array([0, 0, 1, 1, -1], np.int32), np.array([1, 1, 3, 1, 1.0])
    visible = np.array([[True, False], [True, True]])
    shares = shares_in_picture(means, whole, weight, visible, [camera, behind])
    assert shares.tolist() == [1, (0 + 0.25) / 2]


def test_the_floor_and_the_walls_of_a_room_lie_in_planes():
    scene = make_scene(objects=3, gaussians=4000, views=8, test_views=1, size=64, seed=1)
    inside, planes = in_planes(scene.splats, [view.camera for view in scene.train], None, "cpu", 0)
    assert len(planes) >= 1
    assert inside[scene.labels == 0].mean() > 0.3
    assert inside[scene.labels > 0].mean() < 0.1
