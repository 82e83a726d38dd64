"""Meshes of labelled Gaussians."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from backend.objects.mesh.make import MeshMaker
from protocol.result.meshes import Mesh
from protocol.splats import Splats
from tests.backend.objects.mesh.making import ball, joined, plane, ring, sheet


def shape(mesh: Mesh | None) -> trimesh.Trimesh:
    assert mesh is not None
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


@pytest.fixture(scope="module")
def maker() -> MeshMaker:
    """A ball that a plane cuts at a third of its height, the plane, and groups of Gaussians that get no mesh."""
    three = ball((3, 0, 0), 0.2, 3)
    faint = ball((-3, 0, 0), 0.4)
    faint = Splats(faint.means, faint.quats, faint.scales, faint.opacities * 0 - 7, faint.sh)
    spoilt = ball((0, 2.4, 0.2), 0.4)
    spoilt.means[:7] = np.nan
    hidden = ball((0, 0, -40), 0.4)
    lost = ball((0, 2.4, 0.2), 0.4, 50)
    lost.means[:] = np.nan
    splats, labels = joined(ball(), plane(-0.4), three, faint, spoilt, hidden, lost)
    # These Gaussians were fitted to no photographs; in small ones they would be seen blurred, and so too large.
    return MeshMaker(splats, labels, ring(14, height=2.5, size=240), "cpu")


def test_a_ball_on_a_plane_has_the_right_size_colour_and_an_open_bottom(maker: MeshMaker) -> None:
    made = maker.make(1)
    mesh = shape(made.mesh)
    assert made.note == ""
    assert not mesh.is_watertight
    assert np.abs(np.linalg.norm(mesh.vertices, axis=1) - 1).mean() < 0.02
    assert (mesh.vertices[:, 2] > -0.55).all()
    assert made.mesh is not None
    assert np.median(made.mesh.colours, axis=0) == pytest.approx([199, 56, 56], abs=6)
    assert (mesh.face_normals * mesh.triangles_center).sum(1).mean() > 0.9


def test_watertight_closes_it_and_says_which_faces_are_invented(maker: MeshMaker) -> None:
    made = maker.make(1, watertight=True, triangles=5000)
    assert made.mesh is not None
    mesh = shape(made.mesh)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert len(made.mesh.faces) <= 5000
    assert made.mesh.invented is not None
    assert mesh.triangles_center[made.mesh.invented][:, 2].max() < -0.2


def test_objects_without_a_mesh_say_why_and_the_others_are_made(maker: MeshMaker) -> None:
    made = {each.label: each for each in maker}
    assert [label for label, each in made.items() if each.mesh is None] == [3, 4, 6, 7]
    assert "3 usable Gaussians, too few" in made[3].note
    assert "it is less than half opaque in every camera" in made[4].note
    assert "7 Gaussians of object 5 are not finite" in made[5].note
    assert "Object 6 has no mesh" in made[6].note
    assert "0 usable Gaussians" in made[7].note


def test_without_cameras_it_is_the_level_set() -> None:
    splats, labels = joined(ball())
    made = MeshMaker(splats, labels, [], "cpu").make(1)
    assert shape(made.mesh).is_watertight


def test_a_flat_sheet_has_a_mesh() -> None:
    x, y = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 40))
    flat = sheet(np.stack([x.ravel(), y.ravel(), np.zeros(1600)], 1), (0, 0, 1), 0.04)
    splats, labels = joined(flat)
    maker = MeshMaker(splats, labels, ring(14, height=3.0), "cpu")
    for watertight in (False, True):
        made = maker.make(1, watertight=watertight)
        mesh = shape(made.mesh)
        assert np.abs(mesh.vertices[:, 2]).max() < 0.2
        assert mesh.extents[:2] == pytest.approx([2, 2], abs=0.2)
