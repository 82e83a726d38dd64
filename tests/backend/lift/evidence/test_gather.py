"""Votes: laid out right, and blind to what ids are called."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.lift.evidence.gather import FAINT, Column, gather_evidence
from backend.lift.evidence.views import MaskedView, masked_views
from backend.render.types import Votes
from backend.scene.types import Camera


class Given:
    """A voter that says what it was told to say."""

    def __init__(self, votes: list[Votes]) -> None:
        self.left = list(votes)

    def votes(self, camera: Camera, mask: np.ndarray) -> Votes:
        return self.left.pop(0)


def test_evidence_lists_each_gaussian_view_by_view() -> None:
    camera = Camera(np.eye(4), np.eye(3), 2, 1)

    def f(*values: float) -> np.ndarray:
        return np.array(values, np.float32)

    first = Votes(np.array([1, -1, 0], np.int32), f(2, 0, 3), f(2.5, 0, 3), f(0.5, 0, 3))
    second = Votes(np.array([2, 1, 1], np.int32), f(1, 4, 0.001), f(1, 5, 0.001), f(0, 1, 0))
    views = [
        MaskedView("a", camera, np.array([[0, 7]], np.int32)),
        MaskedView("b", camera, np.array([[90_000, 4]], np.int32)),
    ]
    got = gather_evidence(Given([first, second]), masked_views(views), 3)
    assert got.start.tolist() == [0, 2, 3, 4]
    assert got.gaussian.tolist() == [0, 0, 1, 2]
    assert got.view.tolist() == [0, 1, 1, 0]
    assert got.mask.tolist() == [1, 3, 2, 0], "masks of the second view follow those of the first"
    assert got.own.tolist() == [2, 1, 4, 3]
    assert got.mask_view.tolist() == [-1, 0, 1, 1]
    assert got.sure.tolist() == [True, True, True, False]
    np.testing.assert_allclose(got.weight, [3.5, 5, 3])
    entries = got.by_mask.entries[got.by_mask.start[1] : got.by_mask.start[2]]
    assert got.gaussian[entries].tolist() == [0]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_the_layout_by_gaussian_is_a_stable_sort_of_the_votes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, camera = 12, Camera(np.eye(4), np.eye(3), 3, 1)
    votes, views, expected = [], [], []
    masks = 0
    for view in range(5):
        total = (rng.random(n) * (rng.random(n) < 0.7)).astype(np.float32)
        label = np.where(total > 0, rng.integers(0, 3, n), -1).astype(np.int32)
        own, zero = (total * rng.random(n).astype(np.float32) for _ in range(2))
        votes.append(Votes(label, own, total, zero))
        views.append(MaskedView(f"{view}", camera, np.array([[0, 1, 2]], np.int32)))
        expected += [
            (i, view, label[i] + masks if label[i] > 0 else 0, own[i], total[i], zero[i])
            for i in range(n)
            if label[i] >= 0 and total[i] > FAINT
        ]
        masks += 2
    with patch.object(Column, "PIECE", 4):
        got = gather_evidence(Given(votes), masked_views(views), n)
    expected.sort(key=lambda entry: entry[0])
    columns = (got.gaussian, got.view, got.mask, got.own, got.total, got.zero)
    for column, values in zip(columns, zip(*expected, strict=True), strict=True):
        np.testing.assert_array_equal(column, np.array(values, column.dtype))
    np.testing.assert_array_equal(got.start, np.searchsorted(got.gaussian, np.arange(n + 1)))
    np.testing.assert_allclose(got.sums(got.own), np.bincount(got.gaussian, got.own, n), rtol=1e-12)
    np.testing.assert_array_equal(got.by_mask.entries, np.argsort(got.mask, kind="stable"))
    np.testing.assert_array_equal(np.diff(got.by_mask.start), np.bincount(got.mask, minlength=masks + 1))


def test_a_column_gives_back_what_it_was_given() -> None:
    with patch.object(Column, "PIECE", 5):
        column = Column(np.int32)
        assert column.pieces() == []
        given_values = [np.arange(3), np.arange(0), np.arange(11), np.arange(1)]
        for values in given_values:
            column.append(values)
        assert column.length == 15
        assert [len(piece) for piece in column.pieces()] == [5, 5, 5]
        np.testing.assert_array_equal(np.concatenate(column.pieces()), np.concatenate(given_values))
        np.testing.assert_array_equal(column.counts(13), np.bincount(np.concatenate(given_values), minlength=13))
        column.clear()
        assert (column.length, column.pieces()) == (0, [])


def test_no_view_and_nothing_seen() -> None:
    empty = gather_evidence(Given([]), [], 3)
    assert (empty.views, empty.masks, empty.start.tolist(), len(empty.mask)) == (0, 0, [0, 0, 0, 0], 0)
    assert empty.seen.tolist() == [False] * 3
