"""Lists of names inside a sentence: the first few, and how many more there are."""

from __future__ import annotations

from collections.abc import Sequence


def first_of(names: Sequence[object], most: int = 3) -> str:
    """Return the first ``most`` names: "a, b, c and 4 more"."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more
