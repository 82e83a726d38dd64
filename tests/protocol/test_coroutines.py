"""Generators that return a result: run to the end, and with their steps changed."""

from __future__ import annotations

import time
from collections.abc import Generator

import pytest

from protocol.coroutines import advance, finish, map_steps


def counting(to: int, log: list[str]) -> Generator[int, None, str]:
    try:
        yield from range(to)
        return "whole"
    finally:
        log.append("closed")


def test_finish_returns_the_value():
    log: list[str] = []
    assert finish(counting(3, log)) == "whole"
    assert finish(counting(0, log)) == "whole"
    assert log == ["closed"] * 2


def test_advance_stops_at_its_time_and_gives_the_value_at_the_end():
    log: list[str] = []

    def slow() -> Generator[None, None, None]:
        for _ in range(3):
            log.append("step")
            time.sleep(0.02)
            yield

    steps = slow()
    assert advance(steps, 0.01) is None
    assert log == ["step"]
    ended = advance(steps, 10.0)
    assert ended is not None
    assert ended.value is None
    assert log == ["step"] * 3

    ended = advance(counting(5, log), 10.0)
    assert ended is not None
    assert ended.value == "whole"


def test_advance_passes_errors_on():
    def broken() -> Generator[None, None, None]:
        yield
        raise OSError("the disk fails")

    with pytest.raises(OSError, match="the disk fails"):
        advance(broken(), 10.0)


def test_map_steps_changes_what_is_yielded_and_keeps_the_value():
    values = []

    def outer() -> Generator[float, None, None]:
        values.append((yield from map_steps(lambda n: n / 4, counting(3, []))))

    assert list(outer()) == [0.0, 0.25, 0.5]
    assert values == ["whole"]


def test_closing_and_errors_reach_the_inner_generator():
    log: list[str] = []
    steps = map_steps(str, counting(3, log))
    assert next(steps) == "0"
    assert log == []
    steps.close()
    assert log == ["closed"]

    def fail(step: int) -> int:
        raise ValueError(step)

    with pytest.raises(ValueError, match="0"):
        finish(map_steps(fail, counting(3, log)))
    assert log == ["closed"] * 2
