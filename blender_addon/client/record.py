"""The job list on disk, so that a new session of Blender shows the jobs and follows those that still run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from protocol.job_request import JobRequest
from protocol.whole_file import write_whole

FILE = "jobs.json"
KEPT = 50
"""Most jobs that are recorded; the oldest are dropped."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A job that the server has, or whose result is in the cache.

    Attributes:
        finished: whether its result is in the cache's folder ``results/<id>``.
        address: of the server.
        started_here: whether that server was started on this machine by Blender.
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
    """Replace the record; the folder is created if missing.

    Raises:
        OSError: if it cannot be written.
    """
    cache.mkdir(parents=True, exist_ok=True)
    content = msgspec.json.format(msgspec.json.encode(entries[-KEPT:]), indent=1)
    write_whole(cache / FILE, content, durable=False)


def read(cache: Path) -> list[Entry]:
    """Return the recorded jobs, oldest first; an empty list if there is no readable record."""
    try:
        return _entries.decode((cache / FILE).read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
