"""Which views train and which test."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.scene import evenly_spread, split_views
from backend.scene.types import Camera, View
from protocol.errors import BadArgument

CAMERA = Camera(np.eye(4), np.eye(3), 1, 1)


def views(count: int) -> list[View]:
    return [View(str(i), CAMERA, Path("a.png"), held_out=i == 1) for i in range(count)]


def names(chosen: list[View]) -> list[int]:
    return [int(view.name) for view in chosen]


@pytest.mark.parametrize(
    ("count", "spec", "tested"),
    [
        (5, "none", []),
        (80, "last:0.2", list(range(64, 80))),
        (3, "last:0.01", [2]),
        (5, "last:0.5", [2, 3, 4]),
        (20, "every:8", [0, 8, 16]),
        (3, "own", [1]),
    ],
)
def test_the_views_that_test(count: int, spec: str, tested: list[int]) -> None:
    train, test = split_views(views(count), spec)
    assert names(test) == tested
    assert names(train) == [i for i in range(count) if i not in tested]


@given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(2, 20))
def test_every_view_is_in_one_part(count: int, fraction: float, step: int) -> None:
    for spec in (f"last:{fraction}", f"every:{step}"):
        try:
            train, test = split_views(views(count), spec)
        except BadArgument:
            assert math.floor(count * fraction + 0.5) >= count
            continue
        assert sorted(names(train) + names(test)) == list(range(count))
        assert train
        assert test


@pytest.mark.parametrize(
    "spec",
    ["", "all", "last", "last:", "last:x", "last:0", "last:1", "last:-0.2", "last:nan", "last:inf", "every:0",
     "every:1", "every:-8", "every:2.5", "every:", "every:" + "9" * 5000, "none:1", "own:1"],
)  # fmt: skip
def test_specs_that_say_nothing(spec: str) -> None:
    with pytest.raises(BadArgument, match="is not a valid choice of test views"):
        split_views(views(10), spec)


@pytest.mark.parametrize(("count", "spec"), [(1, "last:0.2"), (1, "every:8"), (2, "last:0.9")])
def test_nothing_left_to_train_on(count: int, spec: str) -> None:
    with pytest.raises(BadArgument, match=f"leave no view of {count} for training"):
        split_views(views(count), spec)


def test_own_where_the_capture_names_none() -> None:
    with pytest.raises(BadArgument, match="this capture defines no test views"):
        split_views(views(1), "own")


@pytest.mark.parametrize(
    ("count", "most", "chosen"), [(0, 3, []), (2, 4, [0, 1]), (9, 3, [0, 4, 8]), (10, 4, [0, 3, 6, 9]), (5, 1, [0])]
)
def test_some_of_many_lie_evenly_apart(count: int, most: int, chosen: list[int]) -> None:
    assert evenly_spread(range(count), most) == chosen
