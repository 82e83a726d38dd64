"""Generators that return a result: run to the end, and with their steps changed."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from protocol.coroutines import finish, map_steps


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
