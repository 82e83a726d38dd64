"""Run lengths: against strings that pycocotools 2.0 wrote, and against a writer of their own."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from backend.scene.rle import paint, read_rle, rle_size, unpack_counts
from protocol.errors import BadMask


def counts_of(mask: NDArray[np.bool_]) -> list[int]:
    """The lengths of runs down the columns, that of pixels outside first."""
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges.tolist(), flat.size]).tolist()
    return [0, *counts] if flat[0] else counts


def packed(counts: list[int]) -> str:
    """The string of COCO's ``rleToString``."""
    text = ""
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        while True:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(48 + bits + 32 * more)
            if not more:
                break
    return text


def write(file: Path, masks: list[NDArray[np.bool_]], as_text: bool) -> Path:
    coded = [counts_of(mask) for mask in masks]
    segmentations = [
        {"size": list(mask.shape), "counts": packed(counts) if as_text else counts}
        for mask, counts in zip(masks, coded, strict=True)
    ]
    file.write_text(json.dumps([{"area": 1, "segmentation": each} for each in segmentations]))
    return file


def test_what_pycocotools_writes() -> None:
    mask = np.zeros((30, 40), bool)
    mask[5:20, 10:30] = True
    mask[10:12, 15:20] = False
    assert unpack_counts("a9??00000000FC3=MC3=MC3=MC3=MC3=7000000000000000000W9") == counts_of(mask)
    corners = np.zeros((30, 40), bool)
    corners[0, 0] = corners[29, 39] = True
    assert unpack_counts("01^U10") == [0, 1, 1198, 1] == counts_of(corners)


@given(npst.arrays(bool, npst.array_shapes(min_dims=3, max_dims=3, max_side=9)), st.booleans())
@settings(max_examples=100, deadline=None)
def test_masks_come_back(tmp_path_factory: pytest.TempPathFactory, stack: NDArray[np.bool_], as_text: bool) -> None:
    file = write(tmp_path_factory.mktemp("rle") / "a.json", list(stack), as_text)
    height, width = stack.shape[1:]
    assert rle_size(file) == (width, height)
    ids = paint(read_rle(file), height, width)
    # The smallest mask that holds a pixel is seen there, of equals the last.
    areas = stack.sum((1, 2))
    for row, column in np.ndindex(height, width):
        holding = [i for i in range(len(stack)) if stack[i, row, column]]
        expected = min(holding, key=lambda i: (areas[i], -i)) + 1 if holding else 0
        assert ids[row, column] == expected


@given(st.lists(st.integers(0, 1 << 30), max_size=20))
def test_counts_come_back_from_their_string(counts: list[int]) -> None:
    assert unpack_counts(packed(counts)) == counts


@given(st.text(max_size=30))
def test_any_other_string_is_none_or_numbers(text: str) -> None:
    counts = unpack_counts(text)
    assert counts is None or all(isinstance(count, int) for count in counts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["segmentation", "size", "counts", "annotations", "masks"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@given(JSON)
@settings(max_examples=200, deadline=None)
def test_any_json_is_masks_or_refused(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    file = tmp_path_factory.mktemp("rle") / "a.json"
    file.write_text(json.dumps(content))
    with contextlib.suppress(BadMask):
        for mask in read_rle(file):
            assert mask.counts.sum() == mask.height * mask.width


@pytest.mark.parametrize("key", ["annotations", "masks"])
def test_lists_by_the_names_of_other_programs(tmp_path: Path, key: str) -> None:
    runs = {"size": [2, 3], "counts": [1, 2, 3]}
    for content in ({key: [{"segmentation": runs}], "image": {"id": 1}}, {key: [runs]}, [runs], runs):
        (tmp_path / "a.json").write_text(json.dumps(content))
        np.testing.assert_array_equal(paint(read_rle(tmp_path / "a.json"), 2, 3), [[0, 1, 0], [1, 0, 0]])


@pytest.mark.parametrize(
    ("size", "counts"),
    [
        ([0, 3], []),
        ([2, 3], [7, -1]),
        ([2, 3], [5]),
        ([2, 3], "\u1234"),
        ([2, 3], "o"),
    ],
)
def test_counts_that_fill_nothing(tmp_path: Path, size: list[int], counts: object) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"size": size, "counts": counts}]))
    with pytest.raises(BadMask, match="contains run lengths that do not match"):
        read_rle(tmp_path / "a.json")


def test_more_pixels_than_any_photograph(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"size": [1 << 20, 1 << 20], "counts": [1 << 40]}]))
    with pytest.raises(BadMask, match="has 1048576 x 1048576 pixels; at most 134,217,728 are allowed"):
        read_rle(tmp_path / "a.json")


def test_masks_of_several_sizes(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"size": [2, 3], "counts": [6]}, {"size": [3, 2], "counts": [6]}]))
    with pytest.raises(BadMask, match="contains masks of different sizes"):
        read_rle(tmp_path / "a.json")
