"""Panoptic quality beside that of torchmetrics, a count that others wrote: with objects, classes and void."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.detection import PanopticQuality

from backend.evaluate.panoptic import panoptic_quality
from backend.evaluate.scene_pq import Classes, View, score_scene

WALL, CHAIR, TABLE, UNKNOWN = 0, 1, 2, 9
THREE = Classes(("wall", "chair", "table"), frozenset({CHAIR, TABLE}))


def theirs(predicted: list[View], truth: list[View], things: list[int], stuffs: list[int]) -> dict[int, list[float]]:
    """Return PQ, SQ and RQ by class, all views one list of pixels."""

    def long(views: list[View]) -> torch.Tensor:
        pixels = [np.stack([view.semantic.ravel(), view.instance.ravel()], 1) for view in views]
        return torch.from_numpy(np.concatenate(pixels))[None, :, None]

    metric = PanopticQuality(
        things, stuffs, allow_unknown_preds_category=True, return_sq_and_rq=True, return_per_class=True
    )
    metric.update(long(predicted), long(truth))
    return dict(zip([*things, *stuffs], metric.compute().tolist(), strict=True))


def blocks(rng: np.random.Generator, kinds: list[int]) -> View:
    """A map of 64 x 64 in blocks, which 512 pixels a side repeat evenly; every kind holds more than half a percent."""
    semantic = np.kron(rng.choice(kinds, (8, 8)), np.ones((8, 8), int))
    instance = np.kron(rng.integers(1, 13, (8, 8)), np.ones((8, 8), int))
    return View(semantic.astype(int), np.where(semantic == WALL, 0, instance).astype(int))


def spoilt(view: View, rng: np.random.Generator, kinds: list[int]) -> View:
    """Some blocks drawn anew, and a part of the pixels lost to the wall."""
    other = blocks(rng, kinds)
    redrawn = np.kron(rng.random((8, 8)) < 0.35, np.ones((8, 8), int)) > 0
    semantic = np.where(redrawn, other.semantic, view.semantic)
    instance = np.where(redrawn, other.instance, view.instance)
    lost = rng.random(semantic.shape) < 0.1
    return View(np.where(lost, WALL, semantic).astype(int), np.where(lost, 0, instance).astype(int))


@pytest.mark.parametrize("seed", range(5))
def test_objects_of_a_scene(seed):
    rng = np.random.default_rng(seed)
    truth = [blocks(rng, [WALL, CHAIR]) for _ in range(3)]
    predicted = [spoilt(view, rng, [WALL, CHAIR]) for view in truth]
    score = panoptic_quality([view.instance for view in predicted], [view.instance for view in truth])
    expected = theirs(predicted, truth, [CHAIR], [WALL])
    assert score.tp > 0
    assert score.fn > 0
    assert [score.pq_things / 100, score.sq / 100, score.rq / 100] == pytest.approx(expected[CHAIR])
    assert score.pq_scene / 50 == pytest.approx(expected[WALL][0] + expected[CHAIR][0])


@pytest.mark.parametrize("seed", range(5))
def test_classes_and_void_of_a_scene(seed):
    rng = np.random.default_rng(seed)
    kinds = [WALL, CHAIR, TABLE, UNKNOWN]
    truth = [blocks(rng, kinds) for _ in range(2)]
    predicted = [spoilt(view, rng, kinds) for view in truth]
    score = score_scene(zip(predicted, truth, strict=True), THREE)
    assert score.dropped == ()
    expected = theirs(predicted, truth, [CHAIR, TABLE], [WALL])
    assert {number: [one.pq, one.sq, one.rq] for number, one in score.classes.items()} == {
        number: pytest.approx(row) for number, row in expected.items()
    }
    assert score.pq == pytest.approx(np.mean([row[0] for row in expected.values()]))
