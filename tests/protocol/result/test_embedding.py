"""The embedding of a result."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import BadResult
from protocol.result.embedding import read_embedding, write_embedding
from protocol.result.names import EMBEDDING


@given(st.integers(1, 30), st.integers(1, 8), st.sampled_from(["float16", "float32"]))
@settings(deadline=None)
def test_an_embedding_comes_back_as_it_was_written(count: int, width: int, dtype: str) -> None:
    values = np.random.default_rng(count).normal(size=(count, width)).astype(dtype)
    with TemporaryDirectory() as name:
        write_embedding(Path(name), values)
        found = read_embedding(Path(name), count)
        assert found is not None
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, values)
        with pytest.raises(BadResult, match=rf"has rows for {count} Gaussians, but splats\.ply has {count + 1}"):
            read_embedding(Path(name), count + 1)


def test_a_result_may_have_none(tmp_path: Path) -> None:
    assert read_embedding(tmp_path, 3) is None


@pytest.mark.parametrize(
    "values",
    [np.zeros((3, 4), np.int64), np.zeros((3, 4), np.float64), np.zeros(3, np.float32), np.zeros((3, 4, 1), "f2")],
)
def test_other_arrays_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / EMBEDDING, values)
    with pytest.raises(BadResult, match="does not contain an embedding"):
        read_embedding(tmp_path, 3)


def test_pickles_archives_and_broken_files_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / EMBEDDING
    np.save(path, np.array([{"a": 1}]), allow_pickle=True)
    pickled = path.read_bytes()
    with path.open("wb") as file:
        np.savez(file, values=np.zeros((3, 4), np.float16))
    archive = path.read_bytes()
    write_embedding(tmp_path, np.zeros((3, 4), np.float16))
    whole = path.read_bytes()
    huge = whole.replace(b"(3, 4)", b"(3000000000, 4)")
    # numpy reads the header with Python's own parser and raises what that raises.
    unclosed = whole.replace(b"(3, 4), }", b"(3, 4), (")
    null = whole.replace(b"(3, 4)", b"(3,\0004)")
    for content in (pickled, archive, b"", b"\x93NUMPY", whole[:-1], huge, unclosed, null):
        path.write_bytes(content)
        with pytest.raises(BadResult, match=r"embedding\.npy cannot be read"):
            read_embedding(tmp_path, 3)
    path.unlink()
    path.mkdir()
    with pytest.raises(BadResult, match=r"embedding\.npy is not a file"):
        read_embedding(tmp_path, 3)
