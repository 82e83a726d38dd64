"""Lists of names inside a sentence."""

from __future__ import annotations

from pathlib import Path

from protocol.lists import first_of


def test_short_lists_are_whole():
    assert first_of([]) == ""
    assert first_of(["a"]) == "a"
    assert first_of(["a", "b", "c"]) == "a, b, c"


def test_long_lists_end_with_a_count():
    assert first_of(["a", "b", "c", "d"]) == "a, b, c and 1 more"
    assert first_of([Path("x/y"), Path("z"), 3], most=1) == "x/y and 2 more"
