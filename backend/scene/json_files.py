"""JSON files of a capture, validated against a struct."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TypeVar

import msgspec

from protocol.errors import BadScene
from protocol.json_limits import Most

MAX_BYTES = 1 << 28
MOST = Most(objects=1 << 20, fields=1 << 23, values=1 << 24)
"""Enough for a hundred thousand photographs. Python needs up to a GB for that many values."""

T = TypeVar("T")
_WRONG_TYPE = re.compile(r"Expected `([^`]+)`, got `([^`]+)`(?: - at `([^`]+)`)?")
_MISSING = re.compile(r"Object missing required field `([^`]+)`(?: - at `([^`]+)`)?")
_KINDS = {
    "array": "a list",
    "object": "an object",
    "str": "text",
    "float": "a number",
    "int": "a number",
    "bool": "true or false",
}


def read_json(file: Path, kind: type[T]) -> T:
    """Return the content of ``file`` as ``kind``, a msgspec struct; unknown fields are ignored.

    NaN and Infinity, which Python writes although JSON does not have them, are accepted here; callers reject them with
    better errors.

    Raises:
        BadScene: if the file is not JSON, or a field is missing or has the wrong type.
    """
    try:
        if file.stat().st_size > MAX_BYTES:
            raise BadScene(f"{file} is larger than {MAX_BYTES} bytes.")
        data = file.read_bytes()
        if not MOST.allows(data):
            raise BadScene(f"{file} has more entries than a list of photographs can have.")
        # Numbers in quotes are accepted.
        return msgspec.convert(json.loads(data), kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadScene(
            f"{file} does not have the expected structure: {_plain(error)}.", "Export the capture again."
        ) from error
    except (ValueError, RecursionError, OSError) as error:
        raise BadScene(f"{file} cannot be read as JSON: {error}.", "Export the capture again.") from error


def _plain(error: msgspec.ValidationError) -> str:
    """Return what is wrong without the names of types in Python and the path syntax of msgspec."""
    wrong = _WRONG_TYPE.match(str(error))
    if wrong:
        place = _place(wrong[3]) or "the file"
        return f"{place} must be {_kind(wrong[1])}, but is {_kind(wrong[2])}"
    missing = _MISSING.match(str(error))
    if missing:
        place = _place(missing[2])
        return f"{missing[1]} is missing{f' in {place}' if place else ''}"
    return str(error)


def _kind(types: str) -> str:
    names = [name for name in types.split(" | ") if name != "null" or types == "null"]
    return " or ".join(dict.fromkeys(_KINDS.get(name, name) for name in names))


def _place(path: str | None) -> str:
    return (path or "$").removeprefix("$").removeprefix(".")
