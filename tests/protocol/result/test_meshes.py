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
from protocol.result.meshes import Mesh, Texture, read_mesh, texture_path, write_mesh
from tests.protocol.pictures import png


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
        assert read_mesh(path).texture is None
        for a, b in zip(read_mesh(path)[:4], written[:4], strict=True):
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


def textured(uv: float | None = None) -> Mesh:
    corners = np.random.default_rng(1).random((5, 3, 2)).astype(np.float32)
    return mesh(6, 5)._replace(texture=Texture(corners if uv is None else np.full_like(corners, uv), png(4, 2)))


@pytest.mark.parametrize("written", [mesh(6, 5), mesh(6, 5, marked=False), textured(), mesh(3, 0)])
def test_the_file_is_that_of_plyfile(tmp_path: Path, written: Mesh) -> None:
    path = tmp_path / "0001.ply"
    write_mesh(written, path)
    PlyData.read(str(path)).write(str(tmp_path / "again.ply"))
    assert path.read_bytes() == (tmp_path / "again.ply").read_bytes()


def test_a_texture_is_a_picture_beside_the_mesh(tmp_path: Path) -> None:
    path = tmp_path / "0001.ply"
    written = textured()
    write_mesh(written, path)
    got = read_mesh(path).texture
    assert got is not None
    assert written.texture is not None
    assert got.png == written.texture.png == (tmp_path / "0001.png").read_bytes()
    np.testing.assert_array_equal(got.uv, written.texture.uv)
    assert PlyData.read(str(path)).comments == ["TextureFile 0001.png"]
    write_mesh(written._replace(texture=None), path)
    assert not texture_path(path).exists()


def test_textures_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "0001.ply"
    write_mesh(textured(np.nan), path)
    with pytest.raises(BadResult, match="a texture coordinate is not finite"):
        read_mesh(path)
    write_mesh(textured(), path)
    for content in (b"", b"GIF89a" * 9, png(4, 2)[:20], png(4, 0), png(9000, 1)):
        texture_path(path).write_bytes(content)
        with pytest.raises(BadResult, match="is not a PNG file of at most 8192 x 8192 pixels"):
            read_mesh(path)
    texture_path(path).unlink()
    with pytest.raises(BadResult, match=r"0001\.png is missing"):
        read_mesh(path)


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
    wrong_count = data.replace(b"element vertex 4", b"element vertex 40000000000")
    wrong_type = data.replace(b"uchar red", b"float red")
    for content in (b"", b"hello", data[:-1], data.replace(b"red", b"rot"), wrong_type, wrong_count):
        path.write_bytes(content)
        with pytest.raises(BadResult, match="cannot be read"):
            read_mesh(path)
