"""Run lengths: what is written is what the reader of scenes reads."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.scene.mask_files import load_ids
from backend.scene.mask_fit import turned_back
from backend.scene.rle import pack_counts, read_rle, unpack_counts
from backend.segmenter.mask_records import ScoredMask, as_record, as_runs
from backend.segmenter.run import upright


@given(st.lists(st.integers(0, 1 << 30), max_size=40))
def test_packed_counts_are_unpacked_as_they_were(counts):
    assert unpack_counts(pack_counts(np.array(counts, np.int64))) == counts


def test_counts_are_packed_as_cocos_tools_pack_them():
    """The first three as they are, then differences to the count two before, here -1 and 2; five bits a character."""
    assert pack_counts(np.array([7, 40, 13, 39, 15])) == "7" + "X1" + "=" + "O" + "2"


@pytest.mark.parametrize("start", [0, 1])
def test_masks_are_read_back_as_they_were(tmp_path, start):
    rng = np.random.default_rng(start)
    mask = rng.random((7, 11)) > 0.4
    mask[0, 0] = start
    found = as_record(ScoredMask(mask, predicted_iou=0.91237, stability_score=1.0), 1)
    file = tmp_path / "a.json"
    file.write_bytes(msgspec.json.encode([found]))
    assert (load_ids(file) == mask).all()
    assert read_rle(file)[0].area == found.area == mask.sum()
    assert json.loads(file.read_text())[0] == {
        "segmentation": {"size": [7, 11], "counts": as_runs(mask).counts},
        "area": int(mask.sum()),
        "predicted_iou": 0.9124,
        "stability_score": 1.0,
    }


def test_a_full_and_an_empty_mask_have_one_run():
    assert unpack_counts(as_runs(np.ones((3, 4), bool)).counts) == [0, 12]
    assert unpack_counts(as_runs(np.zeros((3, 4), bool)).counts) == [12]


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_mask_of_the_upright_photograph_is_written_of_the_stored_one(turn):
    stored = np.arange(12, dtype=np.uint8).reshape(3, 4)
    seen = upright(np.stack([stored] * 3, axis=2), turn)[..., 0]
    assert (turned_back(seen.astype(np.int32), turn) == stored).all()
    found = as_record(ScoredMask(seen == 6), turn)
    assert found.segmentation == as_runs(stored == 6)


def test_an_orientation_of_6_is_turned_to_the_right():
    stored = np.array([[1, 2], [3, 4], [5, 6]], np.uint8)
    assert upright(np.stack([stored] * 3, axis=2), 6)[..., 0].tolist() == [[5, 3, 1], [6, 4, 2]]
