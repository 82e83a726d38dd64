"""The jobs on disk, so that a Blender that starts anew shows them again and takes up those that still run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from protocol.job_request import JobRequest

FILE = "jobs.json"
KEPT = 50
"""Jobs that are remembered; the oldest are forgotten first."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A job that the server has, or that has a result here.

    Attributes:
        finished: whether its result is here, in the cache's folder ``results/<id>``.
        address: of the server.
        started_here: whether that was one that Blender had started on this machine.
    """

    id: str
    title: str
    scene: str
    request: JobRequest
    finished: bool
    address: str
    started_here: bool = False


_entries = msgspec.json.Decoder(list[Entry], strict=True)


def write(cache: Path, entries: Sequence[Entry]) -> None:
    """Write the record in place of the earlier one; the folder is made if missing.

    Raises:
        OSError: if it cannot be written.
    """
    cache.mkdir(parents=True, exist_ok=True)
    part = cache / f".{FILE}.{os.getpid()}.part"
    part.write_bytes(msgspec.json.format(msgspec.json.encode(entries[-KEPT:]), indent=1))
    part.replace(cache / FILE)


def read(cache: Path) -> list[Entry]:
    """Return the recorded jobs, oldest first: none where there is no record, or one that cannot be read."""
    try:
        return _entries.decode((cache / FILE).read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
