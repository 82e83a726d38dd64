"""How many steps to smooth for is decided by what one half of the views says of the other."""

from __future__ import annotations

import numpy as np

from backend.lift.consensus.smoothing import smoothed, smoothed_after, surface
from backend.lift.consensus.smoothing_steps import STEPS_TRIED, choose_smoothing_steps
from backend.lift.evidence.agreement import agreement
from tests.backend.lift.made_evidence import evidence_from_masks, in_a_row

COUNT = 300


def drawn(truth: np.ndarray, wrong: float, views: int = 6, seed: int = 0) -> np.ndarray:
    """Masks of two objects with a few Gaussians in the wrong mask; ids are different in each view."""
    rng = np.random.default_rng(seed)
    shown = np.where(rng.random((views, len(truth))) < wrong, 3 - truth, truth)
    return np.where(np.arange(views)[:, None] % 2 == 0, shown, 3 - shown)


def test_noisy_masks_and_telling_colours_are_smoothed_far() -> None:
    truth = np.repeat([1, 2], COUNT // 2).astype(np.int32)
    row = in_a_row(COUNT, truth / 2)
    graph = surface(row, np.ones(COUNT, bool))
    evidence = evidence_from_masks(drawn(truth, 0.35))
    steps = choose_smoothing_steps(evidence, truth, graph)
    assert steps >= 3
    found = agreement(evidence, truth)
    wrong = [int((labels != truth).sum()) for labels in smoothed_after(found, graph, [0, steps])]
    assert wrong[0] > 20
    assert wrong[1] == 0


def test_where_colours_tell_nothing_and_masks_are_sure_nothing_is_smoothed() -> None:
    truth = (1 + np.arange(COUNT) // 3 % 2).astype(np.int32)
    row = in_a_row(COUNT, np.full(COUNT, 0.5))
    evidence = evidence_from_masks(drawn(truth, 0.0))
    assert choose_smoothing_steps(evidence, truth, surface(row, np.ones(COUNT, bool))) == 0


def test_one_view_predicts_nothing() -> None:
    truth = np.repeat([1, 2], COUNT // 2).astype(np.int32)
    row = in_a_row(COUNT, truth / 2)
    steps = choose_smoothing_steps(
        evidence_from_masks(drawn(truth, 0.3, views=1)), truth, surface(row, np.ones(COUNT, bool))
    )
    assert steps == 0


def test_stopping_on_the_way_changes_nothing() -> None:
    truth = np.repeat([1, 2], COUNT // 2).astype(np.int32)
    graph = surface(in_a_row(COUNT, truth / 2), np.ones(COUNT, bool))
    found = agreement(evidence_from_masks(drawn(truth, 0.3)), truth)
    for stop, labels in zip(STEPS_TRIED, smoothed_after(found, graph, STEPS_TRIED), strict=True):
        np.testing.assert_array_equal(labels, smoothed(found, graph, stop))
