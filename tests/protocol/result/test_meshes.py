"""The surfaces of a result."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plyfile import PlyData

from protocol.errors import BadResult
from protocol.result.meshes import Mesh, read_mesh, write_mesh


def mesh(vertices: int, faces: int, seed: int = 0, marked: bool = True) -> Mesh:
    rng = np.random.default_rng(seed)
    return Mesh(
        rng.normal(size=(vertices, 3)).astype(np.float32),
        rng.integers(0, max(vertices, 1), (faces, 3)).astype(np.int32),
        rng.integers(0, 256, (vertices, 3)).astype(np.uint8),
        rng.random(faces) < 0.5 if marked else None,
    )


@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_a_mesh_comes_back_as_it_was_written(vertices: int, faces: int, seed: int) -> None:
    written = mesh(vertices, faces, seed)
    with TemporaryDirectory() as name:
        path = Path(name) / "m.ply"
        write_mesh(written, path)
        for a, b in zip(read_mesh(path), written, strict=True):
            assert a is not None
            assert b is not None
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
        assert [each.name for each in path.parent.iterdir()] == ["m.ply"]


def test_a_mesh_without_marks_comes_back_without_them(tmp_path: Path) -> None:
    write_mesh(mesh(6, 5, marked=False), tmp_path / "m.ply")
    assert read_mesh(tmp_path / "m.ply").invented is None


def test_other_programs_find_its_columns(tmp_path: Path) -> None:
    written = mesh(5, 4)
    write_mesh(written, tmp_path / "m.ply")
    ply = PlyData.read(str(tmp_path / "m.ply"))
    assert np.array_equal(np.stack([ply["vertex"][n] for n in "xyz"], 1), written.vertices)
    assert np.array_equal(np.stack([ply["vertex"][n] for n in ("red", "green", "blue")], 1), written.colours)
    assert np.array_equal(np.stack(list(ply["face"]["vertex_indices"])), written.faces)


@pytest.mark.parametrize(
    ("spoilt", "says"),
    [
        (mesh(3, 1)._replace(faces=np.array([[0, 1, 3]], np.int32)), "refers to a vertex that does not exist"),
        (mesh(3, 1)._replace(faces=np.array([[0, -1, 2]], np.int32)), "refers to a vertex that does not exist"),
        (mesh(3, 1)._replace(vertices=np.full((3, 3), np.nan, np.float32)), "a vertex is not finite"),
    ],
)
def test_meshes_that_contradict_themselves_are_refused(tmp_path: Path, spoilt: Mesh, says: str) -> None:
    write_mesh(spoilt, tmp_path / "m.ply")
    with pytest.raises(BadResult, match=says):
        read_mesh(tmp_path / "m.ply")


def test_files_that_hold_no_mesh_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.ply"
    with pytest.raises(BadResult, match="has no mesh"):
        read_mesh(path)
    write_mesh(mesh(4, 4), path)
    data = path.read_bytes()
    for content in (b"", b"hello", data[:-1], data.replace(b"red", b"rot"), data.replace(b"uchar red", b"float red")):
        path.write_bytes(content)
        with pytest.raises(BadResult, match="cannot be read"):
            read_mesh(path)
