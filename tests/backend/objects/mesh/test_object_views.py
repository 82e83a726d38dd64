"""What cameras see of an object."""

from __future__ import annotations

import numpy as np
import pytest

from backend.objects.mesh.object_views import ORBIT_ANGLE, Box, crop_to_box, object_views
from backend.render.opacity_depth import DepthRenderer
from tests.backend.objects.mesh.making import ball, camera, joined, plane, ring

BOX = Box(np.full(3, -1.1), np.full(3, 1.1))


def looks(parts, cameras, box=BOX):
    splats, labels = joined(*parts)
    own = labels == 1
    return object_views(box, cameras, 0.03, DepthRenderer(splats.pick(own)), DepthRenderer(splats), own)


def test_a_crop_shows_the_box_with_pixels_of_the_asked_size() -> None:
    whole = camera((4, 0, 0), size=400)
    crop = crop_to_box(whole, BOX, 0.05)
    assert crop is not None
    assert 4 / crop.K[0, 0] == pytest.approx(0.05)
    assert crop.width < 100
    at = np.array([0.3, 0.5, -0.2, 1]) @ crop.viewmat.T
    for one in (whole, crop):
        ray = one.K @ at[:3]
        pixel = ray[:2] / ray[2] - one.K[:2, 2]
        assert pixel * 4 / one.K[0, 0] == pytest.approx(at[:2] / at[2] * 4)


def test_cameras_that_do_not_see_the_box_give_no_crop() -> None:
    assert crop_to_box(camera((4, 0, 0), target=(8, 0, 0)), BOX, 0.05) is None
    assert crop_to_box(camera((4, 0, 0), target=(4, 8, 0)), BOX, 0.05) is None
    assert crop_to_box(camera((0, 0, 0), target=(1, 0, 0)), BOX, 0.05) is None


def test_a_box_that_reaches_beside_the_camera_takes_the_whole_picture() -> None:
    crop = crop_to_box(camera((0, 0, 1.05), target=(0, 0, 0)), BOX, 0.05)
    assert crop is not None
    assert crop.width == crop.height


def test_depths_of_a_ball_are_right_and_its_surroundings_are_free() -> None:
    (look, *_) = looks([ball()], ring(1))
    middle = look.depth.shape[0] // 2
    assert look.captured == 0
    assert look.depth.max() > 0
    ahead = np.linalg.norm(look.camera.centre) - 1
    assert look.depth[look.depth > 0].min() == pytest.approx(ahead, abs=0.03)
    assert look.facing[middle, look.depth.shape[1] // 2] > 0.95
    assert np.isinf(look.free[0, 0])
    assert not ((look.depth > 0) & (look.free > 0)).any()


def test_what_stands_in_front_says_nothing_about_the_object() -> None:
    (look, *_) = looks([ball(), ball((2.2, 0, 0), 0.5)], [camera((5, 0, 0))])
    row, column = (n // 2 for n in look.depth.shape)
    assert look.depth[row, column] == 0
    assert look.free[row, column] == 0
    assert (look.depth > 0).any()


def test_space_is_free_as_far_as_what_stands_behind() -> None:
    (look, *_) = looks(
        [ball((0, 0, 1.0)), plane(0.0)],
        [camera((0, 0, 6), target=(0, 0, 0))],
        Box(np.array([-1.1, -1.1, -0.1]), np.array([1.1, 1.1, 2.1])),
    )
    assert look.free[2, 2] == pytest.approx(6.0, abs=0.05)


def test_virtual_cameras_stay_near_directions_of_the_capture() -> None:
    found = looks([ball()], ring(12))
    captured = np.stack([each.camera.centre for each in found if each.captured is not None])
    virtual = np.stack([each.camera.centre for each in found if each.captured is None])
    assert len(captured) == 12
    assert len(virtual) > 3
    captured /= np.linalg.norm(captured, axis=1, keepdims=True)
    virtual /= np.linalg.norm(virtual, axis=1, keepdims=True)
    assert ((virtual @ captured.T).max(1) >= ORBIT_ANGLE).all()
    assert virtual[:, 2].min() > -0.1
