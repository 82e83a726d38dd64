"""Scores of masks that are separate pictures, from SAM's table beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.scene.mask_scores import read_scores
from backend.scene.mask_sets import read_mask_set
from backend.scene.types import Camera, View
from protocol.errors import BadMask

HEADER = "id,area,bbox_x0,bbox_y0,bbox_w,bbox_h,predicted_iou,stability_score"


def folder_of(tmp_path: Path, table: str | None) -> list[Path]:
    """Write two masks of 4 x 6 pixels, one inside the other, and the table."""
    parts = []
    for number, width in enumerate((6, 3)):
        mask = np.zeros((4, 6), np.uint8)
        mask[:, :width] = 255
        parts.append(tmp_path / f"{number}.png")
        Image.fromarray(mask).save(parts[-1])
    if table is not None:
        (tmp_path / "metadata.csv").write_text(table)
    return parts


def test_the_score_is_the_product_of_both_columns(tmp_path: Path) -> None:
    # Rows in another order than the files, and a row of a mask that is not there.
    table = f"{HEADER}\n7,1,0,0,1,1,0.1,0.1\n1,12,0,0,3,4,0.5,0.8\n0,24,0,0,6,4,0.9,1.0\n"
    parts = folder_of(tmp_path, table)
    scores = read_scores(parts)
    assert scores is not None
    np.testing.assert_allclose(scores, [0.9, 0.4])
    camera = Camera(np.eye(4), np.eye(3), 6, 4)
    found = read_mask_set(View("a", camera, tmp_path / "a.png", parts[0], mask_parts=tuple(parts)))
    assert found is not None
    assert found.scores is not None
    np.testing.assert_allclose(found.scores, [0.9, 0.4])
    np.testing.assert_array_equal(found.layers[:, 0], [[1] * 6, [2, 2, 2, 0, 0, 0]])


def test_one_column_is_enough(tmp_path: Path) -> None:
    scores = read_scores(folder_of(tmp_path, "id,predicted_iou\n0,0.9\n1,0.5\n"))
    assert scores is not None
    np.testing.assert_allclose(scores, [0.9, 0.5])


@pytest.mark.parametrize("table", [None, "", "name,size\n0,1\n", "id,area\n0,24\n1,12\n"])
def test_masks_without_a_table_of_scores_have_none(tmp_path: Path, table: str | None) -> None:
    assert read_scores(folder_of(tmp_path, table)) is None


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("id,predicted_iou\n0,0.9\n", "no score for the mask 1.png"),
        ("id,predicted_iou\n0,0.9\n1,nan\n", "no score for the mask 1.png"),
        ("id,predicted_iou\n0,high\n1,0.5\n", "cannot be read"),
        ("id,predicted_iou\n0\n1,0.5\n", "cannot be read"),
    ],
)
def test_a_broken_table_is_named(tmp_path: Path, table: str, sentence: str) -> None:
    with pytest.raises(BadMask, match=f"metadata.csv.*{sentence}|{sentence}") as caught:
        read_scores(folder_of(tmp_path, table))
    assert "metadata.csv" in str(caught.value)
