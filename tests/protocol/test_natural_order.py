"""Natural order of names."""

from __future__ import annotations

from protocol.natural_order import natural_key


def test_numbers_are_compared_by_value() -> None:
    assert sorted(["r_10", "r_2", "0001", "r_1", "0000", "r", "2b", "2a"], key=natural_key) == [
        "0000", "0001", "2a", "2b", "r", "r_1", "r_2", "r_10",
    ]  # fmt: skip
