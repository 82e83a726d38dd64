"""Masks that overlap, as they are on disk."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from backend.scene import read_mask
from backend.scene.mask_files import load_stack, may_overlap
from backend.scene.mask_sets import MOST_LAYERS, flattened, has_mask_set, layered, object_pixels, read_mask_set
from backend.scene.types import VOID, Camera, MaskIds, View
from protocol.errors import BadMask
from tests.backend.scene.test_rle import counts_of, packed


def boxes(*corners: tuple[int, int, int, int], shape: tuple[int, int] = (20, 30)) -> np.ndarray:
    """Masks of rectangles: top, bottom, left, right."""
    masks = np.zeros((len(corners), *shape), bool)
    for mask, (top, bottom, left, right) in zip(masks, corners, strict=True):
        mask[top:bottom, left:right] = True
    return masks


NESTED = boxes((2, 6, 2, 6), (1, 18, 1, 15), (3, 5, 3, 5), (1, 18, 16, 29))


def view_of(file: Path, shape: tuple[int, int] = (20, 30), **more) -> View:
    return View("a", Camera(np.eye(4), np.eye(3), shape[1], shape[0]), file.with_suffix(".jpg"), file, **more)


def write_rle(file: Path, masks: np.ndarray, **scores: list[float]) -> View:
    items = [
        {"segmentation": {"size": list(mask.shape), "counts": packed(counts_of(mask))}, "area": int(mask.sum())}
        | {name: values[i] for name, values in scores.items() if i < len(values)}
        for i, mask in enumerate(masks)
    ]
    file.write_text(json.dumps(items))
    return view_of(file)


def test_what_lies_on_a_mask_is_in_the_next_layer():
    found = layered(NESTED, np.array([0.1, 0.2, 0.3, 0.4]))
    assert [np.unique(layer).tolist() for layer in found.layers] == [[0, 2, 4], [0, 1], [0, 3]]
    for number, mask in enumerate(NESTED, 1):
        assert np.array_equal((found.layers == number).any(0), mask)
    assert found.scores is not None
    assert np.allclose(found.scores, [0.1, 0.2, 0.3, 0.4])


def test_slivers_stay_in_one_layer_with_the_smaller_mask_on_top():
    found = layered(boxes((0, 10, 0, 10), (0, 10, 9, 29)), None)
    assert len(found.layers) == 1
    assert found.is_plain
    assert (found.layers[0] == 1).sum() == 100
    assert (found.layers[0] == 2).sum() == 190


def test_one_mask_that_is_there_twice_keeps_its_better_score():
    found = layered(boxes((0, 10, 0, 10), (0, 10, 0, 10), (12, 18, 0, 6)), np.array([0.3, 0.8, 0.5]))
    assert np.unique(found.layers).tolist() == [0, 1, 3]
    assert found.scores is not None
    assert np.allclose(found.scores[[0, 2]], [0.8, 0.5])


def test_masks_of_nothing_make_one_empty_layer():
    found = layered(np.zeros((2, 4, 5), bool), np.array([0.5, 0.5]))
    assert found.layers.shape == (1, 4, 5)
    assert not found.layers.any()


def test_too_many_masks_on_one_another_are_refused():
    size = 2 * MOST_LAYERS + 4
    nested = boxes(*((i, size - i, i, size - i) for i in range(MOST_LAYERS + 1)), shape=(size, size))
    with pytest.raises(BadMask, match=f"more than {MOST_LAYERS} masks that overlap"):
        layered(nested, None)


def test_flattened_is_what_read_mask_paints(tmp_path: Path):
    np.save(tmp_path / "a.npy", NESTED)
    view = view_of(tmp_path / "a.npy")
    found = read_mask_set(view)
    assert found is not None
    assert found.scores is None
    assert np.array_equal(flattened(found.layers, np.arange(5, dtype=np.int32)), np.asarray(read_mask(view)))
    chosen = flattened(found.layers, np.array([0, 0, 7, 0, VOID], np.int32))
    assert np.unique(chosen).tolist() == [VOID, 0, 7]
    assert (chosen == 7).sum() == NESTED[1].sum()


def test_scores_of_run_lengths(tmp_path: Path):
    both = write_rle(tmp_path / "a.json", NESTED, predicted_iou=[0.5, 0.9, 0.8, 1], stability_score=[0.5, 1, 1, 0.9])
    found = read_mask_set(both)
    assert found is not None
    assert found.scores is not None
    assert np.allclose(found.scores, [0.25, 0.9, 0.8, 0.9])
    assert len(found.layers) == 3
    one = read_mask_set(write_rle(tmp_path / "b.json", NESTED, score=[0.1, 0.2, 0.3, 0.4]))
    assert one is not None
    assert one.scores is not None
    assert np.allclose(one.scores, [0.1, 0.2, 0.3, 0.4])
    none = read_mask_set(write_rle(tmp_path / "c.json", NESTED))
    assert none is not None
    assert none.scores is None
    empty = read_mask_set(write_rle(tmp_path / "d.json", NESTED[:0]))
    assert empty is not None
    assert empty.layers.shape == (1, 20, 30)


@pytest.mark.parametrize(
    ("scores", "sentence"),
    [
        ({"score": [0.5, 0.5]}, "holds 4 masks, but only 2 have a score"),
        ({"score": [0.5, "high", 1, 1]}, "a score that is not finite"),
        ({"score": [0.5, float("nan"), 1, 1]}, "a score that is not finite"),
        ({"score": [1e300, 1e300, 1, 1]}, "a score that is not finite"),
        ({"score": [True, 1, 1, 1]}, "a score that is not finite"),
    ],
)
def test_bad_scores_of_run_lengths(tmp_path: Path, scores: dict, sentence: str):
    with pytest.raises(BadMask, match=sentence):
        read_mask_set(write_rle(tmp_path / "a.json", NESTED, **scores))


def test_scores_beside_a_stack(tmp_path: Path):
    np.savez(tmp_path / "a.npz", masks=NESTED, scores=np.array([0.1, 0.2, 0.3, 0.4], np.float64))
    found = read_mask_set(view_of(tmp_path / "a.npz"))
    assert found is not None
    assert found.scores is not None
    assert np.allclose(found.scores, [0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize("scores", [np.zeros(3), np.array(["a"] * 4), np.array([0, 1, np.nan, 1]), np.zeros((4, 2))])
def test_bad_scores_beside_a_stack(tmp_path: Path, scores: np.ndarray):
    np.savez(tmp_path / "a.npz", masks=NESTED, scores=scores)
    with pytest.raises(BadMask, match="scores"):
        read_mask_set(view_of(tmp_path / "a.npz"))


def test_an_id_map_is_one_plain_layer(tmp_path: Path):
    ids = np.arange(600, dtype=np.int32).reshape(20, 30) % 4
    np.save(tmp_path / "a.npy", ids)
    view = view_of(tmp_path / "a.npy", mask_ids=MaskIds(background=(1,), void=(2,)))
    assert not has_mask_set(view)
    assert not has_mask_set(View("b", view.camera, view.image_path))
    found = read_mask_set(view)
    assert found is not None
    assert found.is_plain
    assert np.array_equal(found.layers[0], np.asarray(read_mask(view)))


def test_files_of_one_instance_each_may_overlap(tmp_path: Path):
    files = []
    for number, mask in enumerate(NESTED):
        files.append(tmp_path / f"{number}.npy")
        np.save(files[-1], mask)
    view = view_of(files[0], mask_parts=tuple(files))
    assert has_mask_set(view)
    found = read_mask_set(view)
    assert found is not None
    assert len(found.layers) == 3


def test_where_objects_may_be(tmp_path: Path):
    small, large = (2, 5, 2, 5), (0, 18, 0, 28)
    np.savez(tmp_path / "a.npz", masks=boxes(large, small), scores=np.array([1.0, 1.0]))
    shown = object_pixels(view_of(tmp_path / "a.npz"))
    assert shown is not None
    assert shown.sum() == 9
    np.save(tmp_path / "b.npy", boxes(large)[0].astype(np.int32))
    plain = object_pixels(view_of(tmp_path / "b.npy"))
    assert plain is not None
    assert plain.sum() == 18 * 28


def test_a_map_of_many_colours_is_not_unpacked_into_one_mask_each(tmp_path: Path) -> None:
    ids = np.arange(900, dtype=np.uint32).repeat(1600).reshape(1200, 1200)
    file = tmp_path / "a.npy"
    np.save(file, np.stack([ids >> 8, ids & 255, ids * 0], -1).astype(np.uint8))
    assert may_overlap(file)
    tracemalloc.start()
    stack = load_stack(file, (1200, 1200))
    inside = [np.count_nonzero(part) for part in stack.slices]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert inside == [1600] * 899
    assert stack.shape == (1200, 1200)
    assert peak < 200 << 20
