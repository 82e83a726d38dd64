"""Detections of several views -> the object that a word names, or nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from backend.scene.types import Camera
from backend.words.choosing import cover, next_view
from backend.words.detecting import Box
from backend.words.evidence import DETECTED, LEAST_FALSE, explained_away, false_rates, view_evidence
from backend.words.matching import strengths
from backend.words.search import find_words
from backend.words.views import Shown, boxes_of, shown_in, virtual_cameras

CAMERA = Camera(np.eye(4), np.array([[40.0, 0, 40], [0, 40.0, 20], [0, 0, 1]]), 80, 40)
LEFT, MIDDLE, RIGHT = (5, 25), (30, 50), (55, 75)
"""First and last column of three objects."""


def view(name: str, *, hidden: Sequence[int] = ()) -> Shown:
    ids = np.zeros((40, 80), np.int32)
    for label, (left, right) in enumerate((LEFT, MIDDLE, RIGHT), 1):
        if label not in hidden:
            ids[10:30, left:right] = label
    shown = np.array([0.0] + [0.0 if label in hidden else 1.0 for label in (1, 2, 3)])
    return Shown(name, CAMERA, ids, shown, boxes_of(ids, 4))


class Scripted:
    """A detector that detects an object in given views; ``script`` is label -> views, for the word "cup"."""

    def __init__(self, script: dict[int, set[int]], score: float = 0.6) -> None:
        self.script, self.score = script, score
        self.looks = 0

    def __call__(self, photograph: NDArray[np.uint8], words: Sequence[str]) -> list[list[Box]]:
        self.looks += 1
        number = int(photograph[0, 0, 0])
        found = []
        for word in words:
            boxes = []
            for label, (left, right) in enumerate((LEFT, MIDDLE, RIGHT), 1):
                if word == "cup" and number in self.script.get(label, ()):
                    # Pictures have twice the size of the id maps.
                    boxes.append(Box(self.score, 2 * left, 20, 2 * right, 60))
            found.append(boxes)
        return found


def search(script: dict[int, set[int]], count: int = 20, most: int = 20):
    views = [view(str(number)) for number in range(count)]

    def picture(seen: Shown) -> NDArray[np.uint8]:
        return np.full((80, 160, 3), int(seen.name), np.uint8)

    detector = Scripted(script)
    (answer,) = find_words(["cup"], views, picture, detector, most=most)
    assert detector.looks == len(answer.views) == len(set(answer.views))
    return answer


def test_an_object_that_is_detected_in_most_views_is_the_answer() -> None:
    answer = search({2: set(range(20)) - {0, 5, 6}})
    assert [found.label for found in answer.found] == [2]
    assert answer.found[0].score > 0.95
    assert answer.found[0].detected < answer.found[0].looked


def test_further_views_are_asked_for_only_while_the_answer_is_open() -> None:
    clear = search({2: set(range(20))})
    doubtful = search({2: {0, 3, 4, 7, 8, 11, 12, 15, 16}})
    assert len(clear.views) < len(doubtful.views)
    assert [found.label for found in clear.found] == [2]


def test_two_objects_of_one_name_are_both_found() -> None:
    answer = search({1: set(range(20)), 3: set(range(1, 20))})
    assert sorted(found.label for found in answer.found) == [1, 3]


def test_single_detections_are_no_answer() -> None:
    answer = search({1: {0}, 2: {1}, 3: {4}})
    assert answer.found == ()
    assert answer.best is not None
    assert search({}).found == ()


def test_a_look_alike_that_is_detected_in_place_of_the_object_is_left_out() -> None:
    mistaken = {3, 6, 9, 12, 15}
    answer = search({1: set(range(20)) - mistaken, 2: mistaken})
    assert [found.label for found in answer.found] == [1]


def test_a_result_without_views_has_no_answer() -> None:
    (answer,) = find_words(["cup"], [], lambda seen: np.zeros((1, 1, 3), np.uint8), Scripted({}))
    assert (answer.found, answer.best, answer.views) == ((), None, ())


def test_evidence_is_the_log_likelihood_ratio() -> None:
    shown = np.array([[0.0, 1.0, 0.5, 0.0]])
    rates = false_rates(np.zeros((3, 1, 4)), shown)
    hit = view_evidence(np.array([[0.0, 0.6, 0.6, 0.6]]), shown, rates)
    np.testing.assert_allclose(hit, [[0, np.log(DETECTED / LEAST_FALSE), np.log(DETECTED / 2 / LEAST_FALSE), 0]])
    missed = view_evidence(np.zeros((1, 4)), shown, rates)
    expected = [0, np.log((1 - DETECTED) / (1 - LEAST_FALSE)), np.log((1 - DETECTED / 2) / (1 - LEAST_FALSE)), 0]
    np.testing.assert_allclose(missed, [expected])


def test_a_detector_that_detects_words_that_match_nothing_proves_less() -> None:
    shown = np.ones((4, 2))
    noisy = np.zeros((2, 4, 2))
    noisy[:, :3, 1] = 0.4
    rates = false_rates(noisy, shown)
    assert rates.cells == 16
    assert rates.rate == pytest.approx(6 / 16)
    assert rates.weight(np.array(0.5)) == pytest.approx(0.5 * 10**0.5)
    assert rates.weight(np.array(0.3)) == pytest.approx(0.5 * (10 / 7) ** 0.5)
    assert false_rates(np.zeros((2, 4, 2)), shown).rate == LEAST_FALSE
    weak, strong = (view_evidence(np.full((1, 2), c), np.ones((1, 2)), rates)[0, 1] for c in (0.4, 0.5))
    assert 0 <= weak < strong


def test_mistaken_detections_count_little() -> None:
    strength = np.array([[0, 0.5, 0.0], [0, 0.0, 0.5], [0, 0.5, 0.5]])
    shown = np.ones((3, 3))
    evidence = view_evidence(strength, shown, false_rates(np.zeros((1, 3, 3)), shown))
    left = explained_away(strength, shown, evidence, 1)
    assert left[1, 2] == 0 < evidence[1, 2]
    assert left[2, 2] == evidence[2, 2]
    np.testing.assert_array_equal(left[:, 1], evidence[:, 1])


def test_a_box_means_the_object_with_the_same_outline() -> None:
    seen = view("a")
    found = strengths([Box(0.8, 5, 10, 25, 30)], seen)
    np.testing.assert_allclose(found, [0, 0.8, 0, 0])
    assert not strengths([Box(0.8, 0, 0, 80, 40)], seen).any()
    assert not strengths([Box(0.8, 200, 200, 300, 300)], seen).any()
    assert not strengths([], seen).any()
    mask = np.zeros((40, 80), bool)
    mask[10:30, 5:22] = True
    np.testing.assert_allclose(strengths([Box(0.8, 0, 0, 80, 40)], seen, [mask]), [0, 0.8 * 0.85, 0, 0])
    np.testing.assert_allclose(strengths([Box(0.8, 0, 0, 80, 40)], view("b", hidden=[1]), [mask]), 0)


def test_the_first_views_show_every_object() -> None:
    shown = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    assert cover(shown, 10, looks=1.0) == [0, 1, 3]
    assert cover(shown, 2, looks=1.0) == [0, 1]
    assert cover(np.zeros((3, 2)), 5) == []
    assert cover(np.zeros((0, 2)), 5) == []


def test_the_next_view_shows_the_open_objects() -> None:
    shown = np.array([[1, 0], [0.4, 1], [0, 0.9], [0, 0]])
    assert next_view(shown, [], np.array([1.0, 0])) == 0
    assert next_view(shown, [1], np.array([0, 1.0])) == 2
    assert next_view(shown, [0, 1], np.array([1.0, 0])) is None
    assert next_view(np.zeros((0, 2)), [], np.ones(2)) is None


def test_hidden_and_tiny_objects_are_not_judged() -> None:
    rng = np.random.default_rng(0)
    near = rng.uniform([-0.5, -0.2, 2], [0.5, 0.2, 2.1], (200, 3))
    ids = np.zeros((40, 80), np.int32)
    ids[10:30, 25:55] = 1
    full = shown_in("a", CAMERA, ids, [np.zeros((0, 3)), near])
    assert full.shown[1] == 1
    ids[:, 25:50] = 0
    assert 0 <= shown_in("a", CAMERA, ids, [np.zeros((0, 3)), near]).shown[1] < 0.3
    behind = near * [1, 1, -1]
    assert shown_in("a", CAMERA, ids, [np.zeros((0, 3)), behind]).shown[1] == 0


def test_virtual_views_look_at_the_objects() -> None:
    means = np.random.default_rng(0).normal([4, 1, -2], 0.3, (500, 3)).astype(np.float32)
    cameras = virtual_cameras(means, (0.0, 0.0, 2.0))
    assert len(cameras) == 24
    for camera in cameras.values():
        local = camera.viewmat[:3, :3] @ means.mean(0) + camera.viewmat[:3, 3]
        x, y, _ = camera.K @ local / local[2]
        assert abs(x - camera.width / 2) < 40
        assert abs(y - camera.height / 2) < 40
        assert camera.centre[2] > -2
    assert virtual_cameras(np.zeros((0, 3), np.float32), (0.0, 0.0, 1.0)) == {}
