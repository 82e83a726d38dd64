"""JSON files of a capture, validated against a struct."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

import msgspec

from protocol.errors import BadScene

MAX_BYTES = 1 << 28

T = TypeVar("T")


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
        return msgspec.convert(json.loads(file.read_bytes()), kind)
    except msgspec.ValidationError as error:
        raise BadScene(f"{file} does not have the expected structure: {error}.") from error
    except (ValueError, RecursionError, OSError) as error:
        raise BadScene(f"{file} cannot be read as JSON: {error}.", "Export the capture again.") from error
