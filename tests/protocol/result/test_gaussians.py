"""Which Gaussians of splats.ply belong to which object."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from protocol.errors import BadResult
from protocol.ply import write_ply
from protocol.result.gaussians import map_rows, read_splats, rows_of_labels, rows_of_objects
from protocol.result.names import SPLATS
from protocol.result.table import ObjectRow, ObjectTable
from tests.protocol.strategies import random_splats

COUNT = 5


def table(counts: dict[int, int]) -> ObjectTable:
    rows = [ObjectRow(id=label, name="", count=count, colour=(0, 0, 0)) for label, count in counts.items()]
    return ObjectTable(format=1, scene="", objects=rows)


def write(folder: Path, **columns: NDArray) -> Path:
    write_ply(random_splats(COUNT).with_columns(**columns), folder / SPLATS)
    return folder


@given(
    arrays.arrays(
        st.sampled_from([np.int32, np.uint8, np.uint16, np.int64]),
        st.integers(0, 60),
        elements=st.integers(0, 5) | st.integers(0, 255),
    )
    | arrays.arrays(np.int32, st.integers(0, 60), elements=st.sampled_from([-1, 0, 1, 65_535, 65_536, 70_000]))
)
def test_every_gaussian_is_in_exactly_one_group(labels: NDArray) -> None:
    groups = rows_of_labels(labels)
    assert list(groups) == sorted(set(labels.tolist()))
    for label, rows in groups.items():
        assert rows.tolist() == [row for row, value in enumerate(labels.tolist()) if value == label]


@given(st.lists(st.integers(0, 4), max_size=30), st.dictionaries(st.integers(1, 4), st.integers(0, 8)))
def test_only_the_counts_of_the_labels_themselves_are_accepted(labels: list[int], counts: dict[int, int]) -> None:
    values = np.array(labels, np.int32)
    true = {label: labels.count(label) for label in (set(labels) | set(counts)) - {0}}
    assert rows_of_objects(values, table(true), Path("out")).keys() == set(labels)
    if counts == {label: true[label] for label in counts} and set(labels) <= {0, *counts}:
        assert rows_of_objects(values, table(counts), Path("out")).keys() == set(labels)
    else:
        with pytest.raises(BadResult, match=r"lists \d+ Gaussians for|objects.json does not list"):
            rows_of_objects(values, table(counts), Path("out"))


@pytest.mark.parametrize("label", [-1, 65_536, 65_537, 2])
def test_labels_that_the_table_cannot_list_are_refused(label: int) -> None:
    labels = np.array([1, label], np.int32)
    with pytest.raises(BadResult, match=f"labels from {min(1, label)} to {max(1, label)}"):
        rows_of_objects(labels, table({1: 1}), Path("out"))


def test_gaussians_come_with_label_and_confidence(tmp_path: Path) -> None:
    label, confidence = np.arange(COUNT, dtype=np.int32), np.linspace(0, 1, COUNT, dtype=np.float32)
    write(tmp_path, label=label, confidence=confidence)
    splats = read_splats(tmp_path)
    np.testing.assert_array_equal(splats.extra["label"], label)
    np.testing.assert_array_equal(splats.extra["confidence"], confidence)
    mapped = map_rows(tmp_path)
    np.testing.assert_array_equal(mapped["label"], label)
    np.testing.assert_array_equal(mapped["x"], splats.means[:, 0])
    with pytest.raises(ValueError, match="read-only"):
        mapped["x"] = 0


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({}, "no integer column label"),
        ({"label": np.zeros(COUNT, np.float32)}, "no integer column label"),
        ({"label": np.zeros(COUNT, np.int32)}, "no numeric column confidence"),
    ],
)
def test_gaussians_without_their_columns_are_refused(tmp_path: Path, columns: dict, says: str) -> None:
    write(tmp_path, **columns)
    with pytest.raises(BadResult, match=says):
        read_splats(tmp_path)
    if "label" in says:
        with pytest.raises(BadResult, match=says):
            map_rows(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"ply\nformat ascii 1.0\nend_header\n", None])
def test_other_files_are_not_mapped(tmp_path: Path, content: bytes | None) -> None:
    if content is None:
        (tmp_path / SPLATS).mkdir()
    else:
        (tmp_path / SPLATS).write_bytes(content)
    with pytest.raises(BadResult, match=r"splats\.ply"):
        map_rows(tmp_path)


def test_a_file_that_is_cut_short_is_not_mapped(tmp_path: Path) -> None:
    write(tmp_path, label=np.zeros(COUNT, np.int32))
    data = (tmp_path / SPLATS).read_bytes()
    (tmp_path / SPLATS).write_bytes(data[:-1])
    with pytest.raises(BadResult, match="cannot be read"):
        map_rows(tmp_path)
