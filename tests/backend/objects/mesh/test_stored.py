"""Meshes that a result holds, as one."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from backend.objects.mesh.stored import stored_mesh
from protocol.errors import BadResult
from protocol.result.meshes import Mesh, Texture, write_mesh
from protocol.result.names import LABEL, MESHES, mesh_path
from protocol.result.table import ObjectRow, ObjectTable
from tests.backend.objects.mesh.making import ball, joined
from tests.protocol.pictures import png

MIRRORED = ((-1.0, 0.0, 0.0, 5.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def table(*matrices) -> ObjectTable:
    rows = [
        ObjectRow(id=number, name=f"Object {number}", count=1, colour=(1, 0, 0), matrix=matrix)
        for number, matrix in enumerate(matrices, start=1)
    ]
    return ObjectTable(format=1, scene="kitchen", objects=rows)


def box() -> Mesh:
    shape = trimesh.creation.box()
    vertices, faces = shape.vertices.astype(np.float32), shape.faces.astype(np.int32)
    return Mesh(vertices, faces, np.full((8, 3), 90, np.uint8), np.arange(12) < 2)


def test_a_moved_mesh_is_where_it_was_moved_to_and_faces_outwards(tmp_path: Path) -> None:
    (tmp_path / MESHES).mkdir()
    write_mesh(box(), mesh_path(tmp_path, 1))
    splats, labels = joined(ball())
    mesh = stored_mesh(tmp_path, table(MIRRORED), [1], splats.with_columns(**{LABEL: labels}))
    assert mesh is not None
    shape = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert np.allclose(shape.center_mass, (5, 0, 0))
    assert np.isclose(shape.volume, 1)
    assert mesh.invented is not None
    assert mesh.invented.sum() == 2


def test_an_object_without_a_mesh_gets_the_level_set_beside_the_others(tmp_path: Path) -> None:
    (tmp_path / MESHES).mkdir()
    write_mesh(box(), mesh_path(tmp_path, 1))
    splats, labels = joined(ball(), ball((9, 0, 0)))
    mesh = stored_mesh(tmp_path, table(None, None), [1, 2], splats.with_columns(**{LABEL: labels}))
    assert mesh is not None
    shape = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert shape.body_count == 2
    assert shape.is_watertight
    assert shape.bounds[1, 0] > 9.5
    assert mesh.invented is not None
    assert len(mesh.invented) == len(mesh.faces)


def test_textures_of_several_objects_are_put_side_by_side(tmp_path: Path) -> None:
    (tmp_path / MESHES).mkdir()
    red, blue = (200, 0, 0), (0, 0, 200)
    uv = np.tile(np.array([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]], np.float32), (12, 1, 1))
    for label, colour, size in ((1, red, 4), (2, blue, 8)):
        picture = png(size, 2, [colour] * size, [colour] * (size - 1) + [(9, 9, 9)])
        write_mesh(box()._replace(texture=Texture(uv, picture)), mesh_path(tmp_path, label))
    splats, labels = joined(ball(), ball((9, 0, 0)))
    mesh = stored_mesh(tmp_path, table(MIRRORED, None), [1, 2], splats.with_columns(**{LABEL: labels}))
    assert mesh is not None
    assert mesh.texture is not None
    whole = np.asarray(Image.open(io.BytesIO(mesh.texture.png)))
    height, width = whole.shape[:2]
    column, row = (mesh.texture.uv * [width, height]).astype(int).transpose(2, 0, 1)
    seen = whole[height - 1 - row, column]
    assert (seen[:12] == red).all(-1)[:, :2].any()
    assert set(map(tuple, seen[12:, 2])) == {blue}
    # A mirrored mesh has its faces the other way round, and the corners of its texture with them.
    np.testing.assert_allclose(mesh.texture.uv[0, 0] * [width, height], [0.9 * 4, height - 0.1 * 2], atol=0.01)

    write_mesh(box()._replace(texture=Texture(uv, png(8, 2, [blue] * 8)[:45])), mesh_path(tmp_path, 2))
    with pytest.raises(BadResult, match="A texture of the meshes is damaged"):
        stored_mesh(tmp_path, table(None, None), [1, 2], splats.with_columns(**{LABEL: labels}))

    write_mesh(box(), mesh_path(tmp_path, 2))
    with pytest.warns(UserWarning, match="Some of the objects have no texture"):
        mesh = stored_mesh(tmp_path, table(None, None), [1, 2], splats.with_columns(**{LABEL: labels}))
    assert mesh is not None
    assert mesh.texture is None


def test_nothing_has_no_mesh(tmp_path: Path) -> None:
    splats, labels = joined(ball(count=3))
    assert stored_mesh(tmp_path, table(None), [], splats.with_columns(**{LABEL: labels})) is None
