"""``report.json``: how a result was made. Only its warnings are read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from protocol.result.json_files import UNREADABLE, encode
from protocol.result.names import MAX_REPORT, REPORT

MOST_WARNINGS = 5
"""Sentences that are shown of a report."""


class Warnings(msgspec.Struct):
    """What is read of the report."""

    warnings: list[str] = []


def read_warnings(folder: Path, most: int = MOST_WARNINGS) -> list[str]:
    """Return the first ``most`` warnings of a result folder.

    Returns none where the report cannot be read: the result is whole without it.
    """
    try:
        with (folder / REPORT).open("rb") as file:
            return msgspec.json.decode(file.read(MAX_REPORT), type=Warnings).warnings[:most]
    except UNREADABLE:
        return []


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """Write ``report.json``."""
    (folder / REPORT).write_bytes(encode(report))
