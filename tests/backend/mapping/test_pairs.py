"""Which photographs are matched."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from backend.mapping.pairs import ALIKE, EXHAUSTIVE, OVERLAP, choose_pairs


def places(count: int, photographs: int) -> list[np.ndarray]:
    """Descriptors of photographs that show ``count`` places in turn, each with its own features."""
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 200, (count, 8, 128))
    drawn = [centres[i % count][rng.integers(0, 8, 60)] + rng.integers(0, 20, (60, 128)) for i in range(photographs)]
    return [each.astype(np.uint8) for each in drawn]


def test_few_photographs_are_all_matched() -> None:
    assert choose_pairs(places(3, EXHAUSTIVE), video=False, seed=0) == list(combinations(range(EXHAUSTIVE), 2))


def test_of_many_those_that_look_alike_are_matched() -> None:
    count = 40
    pairs = choose_pairs(places(count, 160), video=False, seed=0)
    assert len(pairs) < 160 * (ALIKE + 1)
    alike = {(a, b) for a, b in combinations(range(160), 2) if a % count == b % count}
    assert len(alike & set(pairs)) > 0.95 * len(alike)
    assert all(a < b for a, b in pairs)


def test_frames_are_matched_with_those_that_follow_and_where_the_camera_comes_back() -> None:
    count = 50
    pairs = set(choose_pairs(places(count, 100), video=True, seed=0))
    assert all((i, i + step) in pairs for step in range(1, OVERLAP + 1) for i in range(100 - step))
    assert sum((i, i + count) in pairs for i in range(count)) > 0.9 * count
    assert len(pairs) < 100 * 99 / 4


def test_photographs_without_features_have_pairs_too() -> None:
    bare = [np.zeros((0, 128), np.uint8)] * 120
    assert len(choose_pairs(bare, video=False, seed=0)) == 120 * 119 // 2
