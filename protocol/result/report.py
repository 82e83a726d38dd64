"""``report.json``: how a result was made. Only its warnings are read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from protocol.result.json_files import UNREADABLE, encode
from protocol.result.names import MAX_REPORT, REPORT

MOST_WARNINGS = 5
"""Most warnings of a report that are shown."""


class Warnings(msgspec.Struct):
    """The part of the report that is read."""

    warnings: list[str] = []


def read_warnings(folder: Path, most: int = MOST_WARNINGS) -> list[str]:
    """Return the first ``most`` warnings of a result folder.

    Returns an empty list if the report cannot be read, because the result is complete without it.
    """
    try:
        with (folder / REPORT).open("rb") as file:
            return msgspec.json.decode(file.read(MAX_REPORT), type=Warnings).warnings[:most]
    except UNREADABLE:
        return []


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """Write ``report.json``."""
    (folder / REPORT).write_bytes(encode(report))
