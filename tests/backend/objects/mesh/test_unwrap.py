"""Charts of meshes."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from backend.objects.mesh.unwrap import unwrap


def spiral(turns: float = 2.5, steps: int = 100) -> trimesh.Trimesh:
    """A ramp that winds up over itself: all of it is seen from above."""
    angle = np.linspace(0, 2 * np.pi * turns, steps)
    height = 0.1 * angle
    rims = [np.stack([r * np.cos(angle), r * np.sin(angle), height], 1) for r in (0.5, 1.5)]
    points = np.concatenate(rims)
    i = np.arange(steps - 1)
    faces = np.concatenate([np.stack([i, i + steps, i + 1], 1), np.stack([i + 1, i + steps, i + steps + 1], 1)])
    return trimesh.Trimesh(points, faces, process=False)


@pytest.mark.parametrize(
    "mesh",
    [
        trimesh.creation.icosphere(subdivisions=3),
        trimesh.creation.box((1, 2, 3)),
        trimesh.creation.torus(1, 0.3),
        spiral(),
    ],
    ids=["ball", "box", "ring", "spiral"],
)
def test_every_texel_belongs_to_one_face_and_shows_a_point_on_it(mesh: trimesh.Trimesh) -> None:
    faces = np.asarray(mesh.faces, np.int64)
    flat = unwrap(np.asarray(mesh.vertices), faces, 0.04)
    height, width = flat.owner.shape
    assert flat.corners.min() >= 1
    assert (flat.corners.reshape(-1, 2).max(0) <= [width - 1, height - 1]).all()
    row, column = np.nonzero(flat.owner >= 0)
    owner, share = flat.owner[row, column], flat.weights[row, column][..., None]
    at = (flat.corners[owner] * share).sum(1)
    np.testing.assert_allclose(at, np.stack([column, row], 1) + 0.5, atol=1e-4)
    # The areas agree, up to foreshortening and the border: nothing is drawn twice, and nothing is left out.
    drawn = np.bincount(owner, minlength=len(faces)).sum()
    one, two = (flat.corners[:, i] - flat.corners[:, 0] for i in (1, 2))
    exact = np.abs(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]).sum() / 2
    assert drawn == pytest.approx(exact, rel=0.02)
    assert 0.5 < exact * 0.04**2 / mesh.area <= 1.0001


def test_a_length_on_a_box_is_kept() -> None:
    mesh = trimesh.creation.box((1, 2, 3))
    flat = unwrap(np.asarray(mesh.vertices), np.asarray(mesh.faces, np.int64), 0.1)
    sides = np.linalg.norm(np.diff(flat.corners[:, [0, 1, 2, 0]], axis=1), axis=2)
    real = np.linalg.norm(np.diff(mesh.vertices[mesh.faces][:, [0, 1, 2, 0]], axis=1), axis=2)
    np.testing.assert_allclose(sides, real / 0.1, rtol=1e-9)
