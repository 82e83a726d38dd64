"""Every class of model, tiny and with random weights, from its folder to masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.segmenter.load import load_segmenter
from backend.segmenter.points import PointSegmenter, grid, one_of, points_at_once
from backend.segmenter.prepare import prepare
from backend.segmenter.queries import QuerySegmenter
from backend.segmenter.weights import find_weights
from protocol.errors import Unavailable
from tests.backend.segmenter.tiny import LABELS, POINTS, QUERIES, photographs

SIZE = (30, 40)
PER_SIDE = 4


def load(folder, per_side: int = PER_SIDE):
    weights = find_weights(str(folder))
    assert weights is not None
    segmenter, warnings = load_segmenter(weights, "cpu", per_side)
    assert warnings == ()
    return segmenter


def quiet(share: float) -> None:
    assert 0.0 <= share <= 1.0


def assert_alike(found, others) -> None:
    """The same masks with the same scores, up to rounding from another order of sums."""
    assert len(found) == len(others)
    for a, b in zip(found, others, strict=True):
        assert np.mean(a.mask != b.mask) < 0.01
        assert a.category == b.category
        for one, other in ((a.predicted_iou, b.predicted_iou), (a.score, b.score)):
            assert one == pytest.approx(other, abs=1e-3)


@pytest.mark.parametrize("name", POINTS)
def test_points_give_masks_of_the_wanted_size_with_both_scores(model, lenient, name):
    segmenter = load(model(name))
    assert isinstance(segmenter, PointSegmenter)
    (found,) = segmenter(photographs(1), SIZE, quiet)
    assert found
    for each in found:
        assert each.mask.shape == SIZE
        assert each.mask.dtype == bool
        assert each.mask.any()
        assert each.predicted_iou is not None
        assert each.stability_score is not None
        assert 0.8 < each.predicted_iou <= 1.0
        assert 0.5 < each.stability_score <= 1.0
        assert each.score is each.category is each.isthing is None
    scores = [each.predicted_iou for each in found if each.predicted_iou is not None]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("name", QUERIES)
def test_queries_give_masks_that_do_not_overlap_with_class_and_score(model, lenient, name):
    segmenter = load(model(name))
    assert isinstance(segmenter, QuerySegmenter)
    (found,) = segmenter(photographs(1), SIZE, quiet)
    assert found
    assert np.sum([each.mask for each in found], axis=0).max() == 1
    for each in found:
        assert each.mask.shape == SIZE
        assert each.category in LABELS.values()
        assert each.score is not None
        assert 0.25 < each.score <= 1.0
        assert each.predicted_iou is each.stability_score is None


@pytest.mark.parametrize("name", [*POINTS, *QUERIES])
def test_a_batch_gives_what_each_photograph_gives_alone(model, lenient, name):
    segmenter = load(model(name))
    three = photographs(3)
    together = segmenter(three, SIZE, quiet)
    assert len(together) == 3
    for photograph, found in zip(three, together, strict=True):
        (alone,) = segmenter([photograph], SIZE, quiet)
        assert_alike(found, alone)


@pytest.mark.parametrize("name", POINTS)
def test_points_in_small_batches_give_the_same(model, lenient, monkeypatch, name):
    segmenter = load(model(name))
    (found,) = segmenter(photographs(1), SIZE, quiet)
    monkeypatch.setattr("backend.segmenter.points.MOST_AT_ONCE", 3)
    (others,) = segmenter(photographs(1), SIZE, quiet)
    assert_alike(found, others)


def decoded(segmenter, monkeypatch, fails_above: int = 1 << 30) -> list[int]:
    """Return a list that will hold how many points are decoded at each call; more than a bound do not fit."""
    counts: list[int] = []
    decode = segmenter._decode

    def counting(given, points):
        counts.append(len(points))
        if len(points) > fails_above:
            raise torch.OutOfMemoryError("too large")
        return decode(given, points)

    monkeypatch.setattr(segmenter, "_decode", counting)
    return counts


def test_no_more_points_are_decoded_together_than_fit_into_memory(model, monkeypatch):
    segmenter = load(model("sam2"))
    each = 24 * 4 * 32 * 4 * 4
    monkeypatch.setattr("backend.segmenter.points.free_memory", lambda device: 4 * 5 * each)
    counts = decoded(segmenter, monkeypatch)
    segmenter(photographs(1), SIZE, quiet)
    assert counts == [5, 5, 5, 1]


def test_points_at_once_follow_the_memory():
    whole = 24 * 4 * 256 * 64 * 64
    assert points_at_once((64, 64), 256, 4 * 10 * whole) == 10
    assert points_at_once((64, 64), 256, 4 * 10_000 * whole) == 64
    assert points_at_once((64, 64), 256, 0) == 1
    assert points_at_once((64, 64), 256, None) == 64


def test_where_memory_runs_out_fewer_points_are_tried_and_none_is_lost(model, lenient, monkeypatch):
    segmenter = load(model("sam"))
    (expected,) = segmenter(photographs(1), SIZE, quiet)
    counts = decoded(segmenter, monkeypatch, fails_above=5)
    (found,) = segmenter(photographs(1), SIZE, quiet)
    assert counts == [16, 8, 4, 4, 4, 4]
    assert_alike(found, expected)


def test_where_not_even_one_point_fits_it_is_one_sentence(model, monkeypatch):
    segmenter = load(model("sam"))
    decoded(segmenter, monkeypatch, fails_above=0)
    with pytest.raises(Unavailable, match="memory"):
        segmenter(photographs(1), SIZE, quiet)


def test_embeddings_of_a_photograph_are_those_of_the_model_itself(model):
    """Decoding from the stored embedding equals running the model on the pixels."""
    segmenter = load(model("sam2"))
    assert isinstance(segmenter, PointSegmenter)
    prepared = prepare(segmenter.recipe, photographs(2), "cpu")
    points = grid(2, prepared.seen)
    with torch.inference_mode():
        embeddings = segmenter.model.get_image_embeddings(prepared.pixels)
        logits, scores = segmenter._decode({"image_embeddings": one_of(embeddings, 1)}, points)
        out = segmenter.model(
            pixel_values=prepared.pixels[1:],
            input_points=points[None, :, None],
            input_labels=torch.ones(1, 4, 1, dtype=torch.int64),
            multimask_output=True,
        )
    assert torch.allclose(logits, out.pred_masks[0].flatten(0, 1), atol=1e-3)
    assert torch.allclose(scores, out.iou_scores[0].flatten(), atol=1e-4)


def test_the_grid_lies_in_the_middle_of_equal_cells():
    assert grid(2, (40, 80)).tolist() == [[20, 10], [60, 10], [20, 30], [60, 30]]


class FixedQueries:
    """A model that returns what it is given."""

    def __init__(self, classes: list[list[float]], masks: torch.Tensor) -> None:
        self.out = {
            "class_queries_logits": torch.tensor([classes]),
            "masks_queries_logits": masks[None],
        }

    def __call__(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        return self.out


def test_pixels_go_to_the_likelier_mask_and_one_that_loses_most_is_left_out(model):
    loaded = load(model("mask2former"))
    assert isinstance(loaded, QuerySegmenter)
    masks = torch.full((4, 8, 8), -8.0)
    masks[0, :, :4] = 8.0
    masks[1, :, 3:] = 8.0
    masks[2, 2:6, :2] = 8.0
    masks[3, :, :] = 8.0
    sure, likely, unsure = [9.0, 0.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0], [0.0, 0.0, 0.1, 0.0]
    segmenter = QuerySegmenter(
        FixedQueries([sure, likely, likely, unsure], masks), loaded.recipe, "cpu", list(LABELS.values()), {}
    )
    (found,) = segmenter([np.zeros((64, 64, 3), np.uint8)], (8, 8), quiet)
    assert [each.category for each in found] == ["cup", "wall-brick"]
    assert found[0].mask[:, :4].all()
    assert not found[0].mask[:, 4:].any()
    assert found[1].mask[:, 4:].all()
    assert not found[1].mask[:, :4].any()
    assert found[0].score == pytest.approx(1.0, abs=0.01)
    assert found[1].score == pytest.approx(np.exp(3) / (np.exp(3) + 3), abs=0.01)
