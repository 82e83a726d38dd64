"""Polygons of COCO and LabelMe, and what programs write around run lengths, as masks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from backend.scene import load_scene
from backend.scene.inspect import inspect_scene
from backend.scene.mask_files import load_ids, load_stack
from protocol.errors import BadMask
from tests.backend.scene import writing as W

FIRST, SECOND = np.zeros((2, W.HEIGHT, W.WIDTH), bool)
FIRST[3:12, 4:15] = True
SECOND[15:26, 20:36] = True
IDS = FIRST + 2 * SECOND
BOX, OTHER = [4, 3, 15, 3, 15, 12, 4, 12], [20, 15, 36, 15, 36, 26, 20, 26]
TOP, BOTTOM = [20, 15, 36, 15, 36, 20, 20, 20], [20, 20, 36, 20, 36, 26, 20, 26]
PICTURE = {"id": 1, "file_name": "v_1.png", "width": W.WIDTH, "height": W.HEIGHT}


def runs(mask: np.ndarray) -> dict:
    flat = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(flat.astype(np.int8), prepend=0))
    return {"size": [W.HEIGHT, W.WIDTH], "counts": np.diff(ends, prepend=0, append=flat.size).tolist()}


def shape(points: Sequence[float], **values: object) -> dict:
    corners = np.reshape(points, (-1, 2)).tolist()
    return {"label": "cup", "points": corners, "group_id": None, "shape_type": "polygon", **values}


FILES = {
    "COCO": {"images": [PICTURE], "annotations": [{"image_id": 1, "segmentation": [each]} for each in (BOX, OTHER)]},
    "several parts": [{"segmentation": [BOX]}, {"segmentation": [TOP, BOTTOM]}],
    "polygons and run lengths": {"annotations": [{"segmentation": [BOX]}, {"segmentation": runs(SECOND)}]},
    "LabelMe": {"imageWidth": W.WIDTH, "imageHeight": W.HEIGHT, "shapes": [shape(BOX), shape(OTHER)]},
    "LabelMe, a group": {"shapes": [shape(BOX), shape(TOP, group_id=3), shape(BOTTOM, group_id=3)]},
    "LabelMe, a rectangle": {"shapes": [shape(BOX), shape([20, 15, 36, 26], shape_type="rectangle")]},
    "run lengths by id": {"1": runs(FIRST), "2": runs(SECOND)},
}


@pytest.mark.parametrize("name", FILES)
def test_what_they_hold(tmp_path: Path, name: str) -> None:
    W.write_colmap(tmp_path)
    for stem in W.STEMS:
        (tmp_path / "masks").mkdir(exist_ok=True)
        (tmp_path / f"masks/{stem}.json").write_text(json.dumps(FILES[name]))
    findings, fault = inspect_scene(tmp_path)
    assert (findings["masks"], findings["warnings"], fault) == (3, [], None)
    np.testing.assert_array_equal(load_ids(tmp_path / "masks/v_1.json", (W.WIDTH, W.HEIGHT)), IDS)


def test_a_circle(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"shapes": [shape([20, 15, 30, 15], shape_type="circle")]}))
    ids = load_ids(file, (W.WIDTH, W.HEIGHT))
    assert ids.sum() == pytest.approx(np.pi * 100, rel=0.03)
    assert (ids[15, 10:30] == 1).all()


def test_a_declared_size_is_that_of_the_mask(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    double = {"imageWidth": 2 * W.WIDTH, "imageHeight": 2 * W.HEIGHT, "shapes": [shape([2 * x for x in BOX])]}
    file.write_text(json.dumps(double))
    np.testing.assert_array_equal(load_ids(file, (W.WIDTH, W.HEIGHT))[::2, ::2], FIRST)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"shapes": [shape(BOX, shape_type="line")]}, "contains the shape 'line'"),
        ({"shapes": [shape([1, 2, 3, 4])]}, "a polygon without three corners"),
        ({"shapes": [{"points": [[1]], "shape_type": "polygon"}]}, "a polygon without three corners"),
        ([{"segmentation": [[1, 2, 3]]}], "a polygon without three corners"),
        ([{"segmentation": [[1e9] * 6]}], "a polygon without three corners"),
        ({"annotations": [{"image_id": i, "segmentation": [BOX]} for i in range(3)]}, "holds masks of 3 photographs"),
        ({"task": "x"}, "contains no run lengths or polygons"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: object, said: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(content))
    with pytest.raises(BadMask, match=said) as refused:
        load_ids(file, (W.WIDTH, W.HEIGHT))
    assert str(file) in refused.value.sentence
    assert refused.value.remedy


def test_scores_in_a_list_and_in_a_column(tmp_path: Path) -> None:
    W.write_colmap(tmp_path)
    (tmp_path / "masks").mkdir()
    items = [{"segmentation": runs(mask), "score": [score]} for mask, score in ((FIRST, 0.9), (SECOND, 0.8))]
    (tmp_path / "masks/v_1.json").write_text(json.dumps({"annotations": items, "box_format": "xyxy"}))
    column = np.array([[0.9], [0.8]], np.float32)
    np.savez(tmp_path / "masks/v_2.npz", masks=np.stack([FIRST, SECOND])[:, None], scores=column, boxes=np.eye(4))
    load_scene(tmp_path)
    for name in ("v_1.json", "v_2.npz"):
        scores = load_stack(tmp_path / "masks" / name, (W.WIDTH, W.HEIGHT)).scores
        assert scores is not None
        assert scores.tolist() == pytest.approx([0.9, 0.8])


def test_scores_are_checked_when_the_scene_is_loaded(tmp_path: Path) -> None:
    W.write_colmap(tmp_path)
    (tmp_path / "masks").mkdir()
    np.savez(tmp_path / "masks/v_1.npz", masks=np.stack([FIRST, SECOND]), scores=np.ones(3))
    with pytest.raises(BadMask, match=r"v_1\.npz holds 2 masks, and scores of shape \(3,\)"):
        load_scene(tmp_path)


def test_the_only_array_that_may_be_a_mask_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez(file, IDS.astype(np.uint8), np.eye(4))
    np.testing.assert_array_equal(load_ids(file, (W.WIDTH, W.HEIGHT)), IDS)
    np.savez(file, cup=FIRST, plate=SECOND)
    with pytest.raises(BadMask, match=r"holds 2 arrays \(cup\.npy, plate\.npy\)") as refused:
        load_ids(file, (W.WIDTH, W.HEIGHT))
    assert "numpy.stack(masks)" in refused.value.remedy
