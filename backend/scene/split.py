"""Splits views into training and test views, and selects evenly spaced views."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from backend.scene.types import View
from protocol.errors import BadArgument

SPECS = 'Use "none", "last:0.2" (a fraction), "every:8" (a count of at least 2) or "own".'


T = TypeVar("T")


def evenly_spread(items: Sequence[T], most: int) -> list[T]:
    """Return at most ``most`` of ``items``, evenly spaced, including the first and the last."""
    if not items:
        return []
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, most).round().astype(int))]


def split_views(views: Sequence[View], spec: str) -> tuple[list[View], list[View]]:
    """Return the training views and the test views, both in the order of ``views``.

    Args:
        views: in name order, as in ``Scene.views``.
        spec: "none": no test views. "last:F": the last fraction F of the views, at least one. "every:N": every N-th
            view, starting with the first, as INRIA's ``--eval`` does with N = 8. "own": the test views that the capture
            defines (``transforms_test.json``, ``test_filenames``).

    Raises:
        BadArgument: if ``spec`` has another form, leaves no training view, or is "own" and the capture defines no test
            views.
    """
    kind, _, value = spec.partition(":")
    if spec == "none":
        tested: set[int] = set()
    elif kind == "last":
        count = max(1, math.floor(len(views) * _fraction(value, spec) + 0.5))
        tested = set(range(len(views) - count, len(views)))
    elif kind == "every":
        tested = set(range(0, len(views), _count(value, spec)))
    elif spec == "own":
        tested = {i for i, view in enumerate(views) if view.held_out}
        if not tested:
            raise BadArgument('The test views "own" were requested, but this capture defines no test views.', SPECS)
    else:
        raise _bad(spec)
    if len(tested) >= len(views):
        raise BadArgument(f'The test views "{spec}" leave no view of {len(views)} for training.', SPECS)
    train = [view for i, view in enumerate(views) if i not in tested]
    return train, [view for i, view in enumerate(views) if i in tested]


def _fraction(value: str, spec: str) -> float:
    try:
        fraction = float(value)
    except ValueError as error:
        raise _bad(spec) from error
    if not 0.0 < fraction < 1.0:
        raise _bad(spec)
    return fraction


def _count(value: str, spec: str) -> int:
    # No capture has a number of views with ten digits.
    if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value) >= 2):
        raise _bad(spec)
    return int(value)


def _bad(spec: str) -> BadArgument:
    return BadArgument(f'"{spec}" is not a valid choice of test views.', SPECS)
