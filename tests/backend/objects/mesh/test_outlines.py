"""Surfaces moved to the outlines that views show."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from backend.objects.mesh.object_views import Outline
from backend.objects.mesh.outlines import INWARD, fit_outlines
from tests.backend.objects.mesh.making import camera, ring

CAMERAS = [*ring(16, height=0.1), *ring(12, height=2.5), *ring(12, height=-2.5), camera((0, 0.01, 4))]
PIXEL = 4 / CAMERAS[0].K[0, 0]


def outline(one, radius: float = 1.0, behind: float = np.inf) -> Outline:
    """The outline of a ball at the origin, before something at a depth."""
    x, y = np.meshgrid(np.arange(one.width) + 0.5, np.arange(one.height) + 0.5)
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(one.K).T @ one.viewmat[:3, :3]
    along = -(rays @ one.centre) / (rays**2).sum(-1)
    nearest = np.linalg.norm(one.centre + along[..., None] * rays, axis=-1)
    return Outline(one, np.where(nearest < radius, 0, behind).astype(np.float32))


def fitted(mesh: trimesh.Trimesh, views: list[Outline], invented: np.ndarray | None = None, margin: float = 0.1):
    faces = np.asarray(mesh.faces, np.int64)
    marks = np.zeros(len(faces), bool) if invented is None else invented
    return fit_outlines(np.asarray(mesh.vertices), faces, marks, views, margin)


@pytest.mark.parametrize("radius", [0.96, 1.04])
def test_a_ball_of_the_wrong_size_gets_that_of_its_outlines(radius: float) -> None:
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    found = np.linalg.norm(fitted(mesh, [outline(each) for each in CAMERAS]), axis=1)
    # Seen from 4 units away, the outline is a circle on the ball that is 3 % nearer.
    assert np.abs(found - (1 - INWARD * PIXEL)).mean() < 0.01
    assert np.abs(radius - 1) > 3 * np.abs(found - (1 - INWARD * PIXEL)).mean()


def test_a_hollow_stays() -> None:
    """Half of a ball pressed inwards is on no outline."""
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=0.96)
    points = np.array(mesh.vertices)
    top = points[:, 2] > 0.5
    points[top, 2] = 1.0 - points[top, 2]
    deep = np.linalg.norm(points[:, :2], axis=1) < 0.4
    moved = fitted(trimesh.Trimesh(points, mesh.faces, process=False), [outline(each) for each in CAMERAS])
    assert np.linalg.norm(moved - points, axis=1)[top & deep].max() < 0.01


def test_what_something_hides_has_no_outline() -> None:
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=0.96)
    hidden = [outline(each, behind=2.0) for each in CAMERAS]  # it stands in front of the ball
    np.testing.assert_array_equal(fitted(mesh, hidden), mesh.vertices)
    np.testing.assert_array_equal(fitted(mesh, []), mesh.vertices)


def test_the_border_of_an_open_surface_and_invented_faces_stay() -> None:
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=0.96)
    low = mesh.triangles_center[:, 2] < -0.5
    views = [outline(each) for each in CAMERAS]
    upper = trimesh.Trimesh(mesh.vertices, mesh.faces[~low], process=False)
    for found in (fitted(upper, views), fitted(mesh, views, low)):
        moved = np.linalg.norm(found - mesh.vertices, axis=1)
        assert moved[np.abs(mesh.vertices[:, 2] + 0.5) < 0.05].max() < 0.01
        assert moved[np.abs(mesh.vertices[:, 2] - 0.3) < 0.1].min() > 0.01
