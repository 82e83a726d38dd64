"""Places of rows of the first import, in results that were never edited, were edited, or were forged."""

from pathlib import Path

import numpy as np
import pytest

from protocol.ply import write_ply
from protocol.result.names import LABEL, ROW, SPLATS
from protocol.result.rows import read_rows
from protocol.splats import Splats


def result(folder: Path, count: int, rows: list[int] | None) -> Path:
    """Write ``splats.ply`` of ``count`` Gaussians with these rows of the first import."""
    extra = {LABEL: np.zeros(count, np.int32)}
    if rows is not None:
        extra[ROW] = np.array(rows, np.int32)
    zeros = np.zeros((count, 3), np.float32)
    quats = np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1))
    splats = Splats(zeros, quats, zeros, np.zeros(count, np.float32), np.zeros((count, 1, 3), np.float32), extra)
    write_ply(splats, folder / SPLATS)
    return folder


def test_rows_are_places_where_nothing_was_edited(tmp_path):
    rows = read_rows(result(tmp_path, 3, None))
    assert rows.count == 3
    assert rows.places_of(np.array([2, 0, 3, -1])).tolist() == [2, 0, -1, -1]


def test_rows_are_found_after_edits(tmp_path):
    rows = read_rows(result(tmp_path, 3, [7, 2, 5]))
    assert rows.places_of(np.array([2, 5, 7, 0, 8, 3])).tolist() == [1, 2, 0, -1, -1, -1]


def test_an_edited_result_may_be_empty(tmp_path):
    assert read_rows(result(tmp_path, 0, [])).places_of(np.array([0, 4])).tolist() == [-1, -1]


@pytest.mark.parametrize("row", [2**31 - 1, -(2**31)])
def test_a_forged_row_costs_no_memory(tmp_path, row):
    rows = read_rows(result(tmp_path, 2, [row, 1]))
    assert rows.known is not None
    assert len(rows.known) == 2
    assert rows.places_of(np.array([1, row, 0])).tolist() == [1, 0, -1]
