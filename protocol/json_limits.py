"""Limits of JSON files, checked before they are parsed.

Parsers check the length of a list when they have read all of it, and a value needs up to 50 times the memory of its
text.
"""

from __future__ import annotations

from typing import NamedTuple

_HEAD = 1000
"""What a file has in addition to its rows, at most."""


class Most(NamedTuple):
    """How many JSON objects, fields of objects, and values a valid file has at most."""

    objects: int
    fields: int
    values: int

    @classmethod
    def of_rows(cls, rows: int, *, objects: int = 1, fields: int, values: int) -> Most:
        """Return the limits of a file with so many rows, given those of a row."""
        return cls(*(rows * each + _HEAD for each in (objects, fields, values)))

    def allows(self, data: bytes | bytearray) -> bool:
        """Whether a JSON text may have so many; characters inside texts count too."""
        objects = data.count(b"{")
        values = objects + data.count(b"[") + data.count(b",")
        return objects <= self.objects and values <= self.values and data.count(b":") <= self.fields
