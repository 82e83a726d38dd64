"""JSON files of a result, validated on reading and on writing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from protocol.errors import BadResult
from protocol.json_limits import Most
from protocol.result.names import MAX_JSON

T = TypeVar("T", bound=msgspec.Struct)

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OSError)
"""Exceptions that reading a JSON file may raise."""


def read_record(path: Path, kind: type[T], what: str, remedy: str, most: Most) -> T:
    """Return the content of a JSON file, validated against the types and limits of ``kind``; other fields are ignored.

    Args:
        what: what the file should be, such as "list of cameras".
        most: what a valid file has at most.

    Raises:
        BadResult: if the file is too large or is not valid.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_JSON + 1)
        if len(data) > MAX_JSON:
            raise BadResult(f"{path} is larger than {MAX_JSON} bytes, too large for a {what}.", remedy)
        if not most.allows(data):
            raise BadResult(f"{path} has more entries than a {what} can have.", remedy)
        return msgspec.json.decode(data, type=kind)
    except UNREADABLE as error:
        raise BadResult(f"{path} is not a valid {what}: {error}.", remedy) from error


def write_record(path: Path, record: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    """Write a record as indented JSON.

    Raises:
        BadResult: if :func:`read_record` would refuse it; then nothing is written.
    """
    data = encode(record)
    try:
        msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise BadResult(f"{path.name} cannot be written: {error}.") from error
    path.write_bytes(data)


def encode(record: Any) -> bytes:
    """Return a record as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"
