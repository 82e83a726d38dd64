"""The order of names in which people expect numbers."""

from __future__ import annotations

import re


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Return a sort key that compares numbers by value: "r_2" before "r_10"."""
    # \d would match decimal digits beyond 0-9 too; int() accepts them, so the split stays consistent.
    parts = re.split(r"(\d+)", name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name
