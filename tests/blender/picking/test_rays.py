"""Rays through pixels of views, perspective and orthographic."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from bpy_extras.object_utils import world_to_camera_view  # noqa: E402
from mathutils import Vector  # noqa: E402

from blender_addon.picking.rays import Ray, ray_through  # noqa: E402
from tests.blender.picking.sights import SIZE, camera_at, pixel_of, sight_through  # noqa: E402

POINTS = ((0.0, 0.0, 0.0), (1.0, -0.5, 0.25), (-0.8, 2.0, -1.0))


def distance(ray: Ray, point: tuple[float, ...]) -> float:
    unit = ray.direction / np.linalg.norm(ray.direction)
    offset = np.array(point) - ray.origin
    return float(np.linalg.norm(offset - (offset @ unit) * unit))


@pytest.mark.parametrize("kind", ["PERSP", "ORTHO"])
def test_the_ray_of_a_pixel_goes_through_what_is_seen_there(kind: str) -> None:
    camera = camera_at((3.0, -8.0, 4.0), (0.0, 0.0, 0.0), kind)
    sight = sight_through(camera)
    assert sight.is_flat == (kind == "ORTHO")
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    for point in POINTS:
        x, y = pixel_of(sight, point)
        # Blender's own projection agrees on the pixel.
        across, up, _ = world_to_camera_view(scene, camera, Vector(point))
        np.testing.assert_allclose((x, y), (across * SIZE[0], up * SIZE[1]), atol=1e-3)
        ray = ray_through(sight, x, y)
        assert distance(ray, point) < 1e-5
        ahead = np.array(camera.matrix_world.to_3x3() @ Vector((0, 0, -1)))
        assert ray.direction @ ahead > 0
        assert (ray.origin - np.array(camera.location)) @ ahead == pytest.approx(camera.data.clip_start, rel=1e-3)


def test_a_ray_in_the_frame_of_an_object_meets_the_same_points() -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = [[0, -2, 0], [1, 0, 0], [0, 0, 3]]
    matrix[:3, 3] = [5, 6, 7]
    ray = Ray(np.array([1.0, 2, 3]), np.array([0.5, -1, 2]))
    local = ray.seen_from(matrix)
    assert local is not None
    there = matrix[:3, :3] @ (local.origin + 1.5 * local.direction) + matrix[:3, 3]
    np.testing.assert_allclose(there, ray.origin + 1.5 * ray.direction)
    assert ray.seen_from(np.diag([1.0, 0, 1, 1])) is None
