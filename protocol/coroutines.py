"""Helpers for generator coroutines: generators that do work in small steps and return the result at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")
Step = TypeVar("Step")
NewStep = TypeVar("NewStep")

FILES_A_STEP = 200
"""Files looked up, checked or removed on the disk in one step."""


def finish(steps: Generator[Any, None, T]) -> T:
    """Run a generator to its end and return its value; yielded values are discarded."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


class Finished(NamedTuple, Generic[T]):
    """The end of a generator, with its value."""

    value: T


def advance(steps: Generator[Any, None, T], seconds: float) -> Finished[T] | None:
    """Advance a generator for about so many seconds; return None if it has more to do."""
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        try:
            next(steps)
        except StopIteration as end:
            return Finished(end.value)
    return None


def map_steps(change: Callable[[Step], NewStep], steps: Generator[Step, None, T]) -> Generator[NewStep, None, T]:
    """Yield ``change(step)`` for each step of a generator, and return its value.

    Closing this generator closes ``steps`` as well.
    """
    try:
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                return end.value
            yield change(step)
    finally:
        steps.close()
