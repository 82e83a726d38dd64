"""The published scene protocol: each rule against a case counted by hand, the whole against a plain count."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from backend.evaluate.panoptic import panoptic_quality, resize_nearest
from backend.evaluate.scene_pq import (
    MESSY_ROOMS,
    SCANNET,
    SIZE,
    VOID,
    Classes,
    View,
    count_overlaps,
    match,
    robust_classes,
    score_scene,
    semantic_iou,
)
from protocol.errors import BadArgument

THREE = Classes(("wall", "chair", "table"), frozenset({1, 2}))
"""One kind of stuff, two kinds of things."""


def rows(*segments: tuple[int, int, int]) -> View:
    """A view of 512 rows: each (class, instance, rows) fills so many whole rows."""
    classes = np.repeat([c for c, _, _ in segments], [n for _, _, n in segments])
    instances = np.repeat([i for _, i, _ in segments], [n for _, _, n in segments])
    assert len(classes) == 512
    return View(*(np.repeat(column[:, None], 512, 1) for column in (classes, instances)))


def test_a_perfect_answer_scores_1_whatever_its_ids():
    truth = rows((0, 0, 200), (1, 1, 200), (1, 2, 112))
    score = score_scene([(rows((0, 0, 200), (1, 77, 200), (1, 5, 112)), truth)])
    assert (score.pq, score.mean_iou, score.views, score.dropped) == (1.0, 1.0, 1, ())
    assert (score.classes[1].tp, score.classes[1].fp, score.classes[1].fn) == (2, 0, 0)


def test_messy_rooms_is_the_mean_of_background_and_objects():
    truth = rows((0, 0, 312), (1, 1, 100), (1, 2, 100))
    score = score_scene([(rows((0, 0, 312), (1, 1, 80), (0, 0, 20), (1, 3, 40), (0, 0, 60)), truth)])
    # background 312 of 392 rows; object 1: 80 of 100; object 2: 40 of 100, no match; predicted 3: no match.
    assert score.classes[0].pq == pytest.approx(312 / 392)
    assert score.classes[1].pq == pytest.approx(0.8 / 2)
    assert score.pq == pytest.approx((312 / 392 + 0.4) / 2)
    told = score.as_dict()
    assert told["pq"] == round(100 * (312 / 392 + 0.4) / 2, 2)
    assert (told["pq_things"], told["pq_stuff"]) == (40.0, round(100 * 312 / 392, 2))
    assert told["sq"] == round(100 * (312 / 392 + 0.8) / 2, 2)
    assert told["rq"] == 75.0
    assert told["classes"]["objects"] == {"pq": 40.0, "sq": 80.0, "rq": 50.0, "tp": 1, "fp": 1, "fn": 1}


def test_all_views_are_one_list_of_pixels():
    truth = rows((0, 0, 256), (1, 1, 256))
    swapped = [(rows((0, 0, 256), (1, i, 256)), truth) for i in (1, 2)]
    score = score_scene(swapped)
    assert (score.classes[1].tp, score.classes[1].fp, score.classes[1].fn) == (0, 2, 1)
    assert score.pq == 0.5, "in each view alone the object is perfect"


def test_half_of_the_union_is_no_match():
    truth = rows((0, 0, 312), (1, 1, 200))
    half = score_scene([(rows((0, 0, 312), (1, 1, 100), (1, 2, 100)), truth)])
    assert half.classes[1].tp == 0
    more = score_scene([(rows((0, 0, 312), (1, 1, 101), (1, 2, 99)), truth)])
    assert (more.classes[1].tp, more.classes[1].fp) == (1, 1)
    assert more.classes[1].iou_sum == pytest.approx(101 / 200)


def test_segments_of_different_classes_never_match():
    score = score_scene([(rows((0, 0, 256), (2, 1, 256)), rows((0, 0, 256), (1, 1, 256)))], THREE)
    assert (score.classes[1].fn, score.classes[2].fp) == (1, 1)
    assert score.pq == pytest.approx(1 / 3)


def test_stuff_has_no_instances():
    truth = rows((0, 3, 100), (0, 4, 156), (1, 1, 256))
    assert score_scene([(rows((0, 9, 256), (1, 1, 256)), truth)]).pq == 1.0


def test_a_class_below_half_a_percent_is_dropped_and_becomes_void():
    # 2 of 512 rows are 0.39 %, 3 rows are 0.59 %.
    truth = rows((0, 0, 256), (1, 1, 254), (2, 1, 2))
    score = score_scene([(rows((0, 0, 256), (1, 1, 256)), truth)], THREE)
    assert score.dropped == (2,)
    assert score.classes[1].pq == 1.0, "the two rows are void, so they are in no union"
    kept = score_scene([(rows((0, 0, 256), (1, 1, 256)), rows((0, 0, 256), (1, 1, 253), (2, 1, 3)))], THREE)
    assert kept.dropped == ()
    assert kept.classes[2].fn == 1
    assert kept.classes[1].iou_sum == pytest.approx(253 / 256)


def test_a_class_that_is_small_in_the_prediction_alone_is_dropped_too():
    truth = rows((0, 0, 256), (1, 1, 200), (2, 1, 56))
    few = score_scene([(rows((0, 0, 256), (1, 1, 254), (2, 1, 2)), truth)], THREE)
    assert few.dropped == (2,)
    none = score_scene([(rows((0, 0, 256), (1, 1, 256)), truth)], THREE)
    assert none.dropped == ()
    assert none.classes[2].pq == 0.0, "missed altogether, it is scored"


def test_classes_seen_on_neither_side_are_not_scored():
    assert set(score_scene([(rows((0, 0, 512)), rows((0, 0, 512)))], THREE).classes) == {0}


def test_the_union_leaves_void_of_either_side_out():
    p, t = (1, 1), (1, 9)
    scores = match({(p, t): 40, (p, VOID): 50, (VOID, t): 30, (p, (0, 0)): 5, ((0, 0), t): 7}, [0, 1])
    assert scores[1].iou_sum == pytest.approx(40 / (95 - 50 + 77 - 30 - 40))
    assert scores[1].iou_sum == pytest.approx(40 / 52)


@pytest.mark.parametrize(("void", "counted"), [(50, 1), (51, 0)])
def test_an_unmatched_segment_more_than_half_void_is_passed_over(void, counted):
    rest = 100 - void
    true = match({(VOID, (1, 1)): void, ((0, 0), (1, 1)): rest, ((0, 0), (0, 0)): 500}, [0, 1])
    assert (true[1].fn, true[1].fp) == (counted, 0)
    predicted = match({((1, 1), VOID): void, ((1, 1), (0, 0)): rest, ((0, 0), (0, 0)): 500}, [0, 1])
    assert (predicted[1].fp, predicted[1].fn) == (counted, 0)


def test_a_class_whose_segments_are_all_passed_over_scores_0():
    scores = match({(VOID, (1, 1)): 80, ((0, 0), (1, 1)): 20, ((0, 0), (0, 0)): 500}, [0, 1])
    assert (scores[1].tp, scores[1].fp, scores[1].fn, scores[1].pq) == (0, 0, 0, 0.0)


def test_unknown_predicted_classes_are_void():
    truth = rows((0, 0, 256), (1, 1, 256))
    score = score_scene([(rows((0, 0, 256), (1, 1, 156), (7, 3, 100)), truth)])
    assert score.pq == 1.0
    assert score.mean_iou == 1.0, "and no part of the semantic score"


def test_scannet_takes_pixels_without_truth_out_of_both_maps():
    truth = rows((0, 0, 100), (5, 1, 212), (1, 0, 200))
    score = score_scene([(rows((20, 8, 100), (5, 4, 212), (1, 0, 200)), truth)], SCANNET)
    assert score.pq == 1.0
    assert set(score.classes) == {1, 5}


def test_scannet_scores_a_predicted_void_as_a_class_of_its_own():
    truth = rows((5, 1, 256), (1, 0, 256))
    score = score_scene([(rows((5, 4, 256), (1, 0, 206), (0, 0, 50)), truth)], SCANNET)
    assert score.classes[0].fp == 1
    assert score.pq == pytest.approx((1 + 206 / 256) / 3)
    assert score.mean_iou == pytest.approx((1 + 206 / 256) / 3)


def test_scannet_things():
    names = " ".join(SCANNET.names[c] for c in sorted(SCANNET.things))
    assert names == "bed chair sofa refrigerator television person toilet sink bag"
    assert len(SCANNET.names) == 22


def test_mean_iou_drops_a_class_only_if_it_is_small_on_both_sides():
    overlaps = {((0, 0), (0, 0)): 995, ((0, 0), (1, 1)): 4, ((1, 1), (0, 0)): 1}
    assert semantic_iou(overlaps, 2) == pytest.approx(995 / 1000)
    overlaps = {((0, 0), (0, 0)): 990, ((0, 0), (1, 1)): 9, ((1, 1), (0, 0)): 1}
    assert semantic_iou(overlaps, 2) == pytest.approx((990 / 1000 + 0) / 2)


def test_shares_are_counted_over_all_views():
    small, large = rows((0, 0, 511), (1, 1, 1)), rows((0, 0, 256), (1, 1, 256))
    overlaps = Counter(count_overlaps(small, small)) + count_overlaps(large, large)
    assert robust_classes(count_overlaps(small, small), MESSY_ROOMS) == ({0}, (1,))
    assert robust_classes(overlaps, MESSY_ROOMS) == ({0, 1}, ())


@pytest.mark.parametrize(
    ("pairs", "classes", "says"),
    [
        ([], MESSY_ROOMS, "0 views have no pixel"),
        ([(rows((1, 1, 512)), rows((0, 0, 512)))], SCANNET, "1 views have no pixel"),
        ([(rows((9, 1, 512)), rows((9, 1, 512)))], MESSY_ROOMS, "None of the 2 classes"),
    ],
)
def test_nothing_to_score(pairs, classes, says):
    with pytest.raises(BadArgument, match=says):
        score_scene(pairs, classes)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 1500), st.integers(1, 1500), st.integers(0, 2**31))
def test_resizing_picks_the_pixels_of_pillow(height, width, seed):
    # Which row and column each pixel comes from says it all, so one strip each way is enough.
    for length in (height, width):
        ids = np.random.default_rng(seed).integers(0, 60_000, (1, length))
        ours = resize_nearest(ids, (1, SIZE[1]))
        pillow = Image.fromarray(ids.astype(np.int32)).resize((SIZE[1], 1), Image.Resampling.NEAREST)
        assert np.array_equal(ours, np.asarray(pillow))


def test_resizing_a_whole_map_as_pillow_does():
    ids = np.random.default_rng(5).integers(0, 60_000, (341, 613))
    pillow = Image.fromarray(ids.astype(np.uint16)).resize((512, 512), Image.Resampling.NEAREST)
    assert np.array_equal(resize_nearest(ids, SIZE), np.asarray(pillow))


def plain_count(predicted: list[View], truth: list[View], classes: Classes) -> tuple[float, dict[int, tuple]]:
    """The protocol once more, from its description: masks over one long list of pixels, Pillow for the resizing."""

    def long(maps):
        small = [Image.fromarray(ids.astype(np.int32)).resize((512, 512), Image.Resampling.NEAREST) for ids in maps]
        return np.concatenate([np.asarray(image).ravel() for image in small])

    ps, pi, ts, ti = (
        long([getattr(view, name) for view in views])
        for views in (predicted, truth)
        for name in ("semantic", "instance")
    )
    if classes.without_truth is not None:
        there = ts != classes.without_truth
        ps, pi, ts, ti = ps[there], pi[there], ts[there], ti[there]
    scored = []
    for c in range(len(classes.names)):
        shares = [np.mean(ps == c), np.mean(ts == c)]
        if max(shares) > 0 and not any(0 < share < 0.005 for share in shares):
            scored.append(c)
    for semantic, instance in ((ps, pi), (ts, ti)):
        semantic[~np.isin(semantic, scored)] = -1
        instance[~np.isin(semantic, list(classes.things))] = 0
    result = {}
    for c in scored:
        predicted_masks = [(ps == c) & (pi == i) for i in np.unique(pi[ps == c])]
        true_masks = [(ts == c) & (ti == i) for i in np.unique(ti[ts == c])]
        pairs = {}
        for a, p in enumerate(predicted_masks):
            for b, t in enumerate(true_masks):
                iou = np.sum(p & t) / max(np.sum((p & (ts != -1)) | (t & (ps != -1))), 1)
                if iou > 0.5:
                    pairs[a, b] = iou
        fp = sum(a not in {x for x, _ in pairs} and np.mean(ts[p] == -1) <= 0.5 for a, p in enumerate(predicted_masks))
        fn = sum(b not in {x for _, x in pairs} and np.mean(ps[t] == -1) <= 0.5 for b, t in enumerate(true_masks))
        n = len(pairs) + fp / 2 + fn / 2
        result[c] = (sum(pairs.values()) / n if n else 0.0, len(pairs), fp, fn)
    return float(np.mean([pq for pq, *_ in result.values()])), result


def noisy_scene(seed: int, classes: int) -> tuple[list[View], list[View]]:
    """Blocks of classes and instances, predicted with a part of the blocks redrawn, some of unknown class."""
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(20, 90, 2))
    predicted, truth = [], []
    for _ in range(2):
        semantic = np.kron(rng.integers(0, classes, (5, 6)), np.ones((20, 20), int))[:height, :width]
        instance = np.kron(rng.integers(0, 3, (5, 6)), np.ones((20, 20), int))[:height, :width]
        truth.append(View(semantic, instance))
        spoilt = rng.random(semantic.shape) < rng.choice([0.002, 0.02, 0.3])
        predicted.append(
            View(
                np.where(spoilt, rng.integers(0, classes + 1, semantic.shape), semantic),
                np.where(rng.random(semantic.shape) < 0.1, 3, instance + 5 * (semantic % 2)),
            )
        )
    return predicted, truth


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("classes", [MESSY_ROOMS, THREE, SCANNET], ids=["messy", "three", "scannet"])
def test_agrees_with_a_plain_count(seed, classes):
    predicted, truth = noisy_scene(seed, min(len(classes.names), 7))
    score = score_scene(zip(predicted, truth, strict=True), classes)
    pq, expected = plain_count(predicted, truth, classes)
    assert score.pq == pytest.approx(pq)
    found = {c: (s.tp, s.fp, s.fn) for c, s in score.classes.items()}
    assert found == {c: tuple(counts) for c, (_, *counts) in expected.items()}


def test_objects_score_as_without_classes_at_the_published_size():
    rng = np.random.default_rng(1)
    truth = np.kron(rng.integers(0, 6, (8, 8)), np.ones((64, 64), int))
    predicted = np.where(rng.random(truth.shape) < 0.2, 0, truth)
    plain = panoptic_quality([predicted], [truth])
    score = score_scene([(View(np.sign(predicted), predicted), View(np.sign(truth), truth))])
    assert 100 * score.classes[1].pq == pytest.approx(plain.pq_things)
    assert 100 * score.pq == pytest.approx(plain.pq_scene)
