"""The result of a job on its way here: pulled into the cache by content, then laid out as a folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from protocol.errors import BadFrames, BadResult
from protocol.manifest import MAX_MANIFEST
from protocol.messages import Chunk, FileEntry, Result
from protocol.pull import Pull
from protocol.store import read_manifest

from .nearby import link

if TYPE_CHECKING:
    from .connection import Connection
    from .job import Job
    from .link import Received

T = TypeVar("T")
Steps = Generator[bool, None, T]


def download(job: Job, connection: Connection, result: Result) -> Steps[Path]:
    """Fetch a result and return its folder, which has its name only once it is whole.

    Raises:
        Lost: with the link; what has arrived stays for the next attempt.
        BadResult, BadFrames: if what arrives is not what was promised.
        Unavailable: if the cache's disk is full or fails.
    """
    folder = connection.result_folder(job.id)
    if folder.is_dir():
        return folder
    if result.size > MAX_MANIFEST:
        raise BadResult(f"The result has a manifest of {result.size} bytes; {MAX_MANIFEST} are allowed.")
    yield from _fetch(connection, [FileEntry("manifest", result.size, result.manifest)])
    entries = read_manifest(connection.store, result.manifest)
    yield from _fetch(connection, entries, job.transferred)
    part = folder.with_name(f".{job.id}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for entry in entries:
        connection.store.checkout([entry], part)
        yield True
    part.rename(folder)
    return folder


def _fetch(
    connection: Connection, entries: list[FileEntry], tell: Callable[[int, int], None] = lambda done, total: None
) -> Steps[None]:
    """Fetch what the cache lacks of ``entries``; ``tell`` how many bytes of how many are here."""
    yield from link(connection, entries, tell)
    pull = Pull(connection.store, entries)
    try:
        with connection.conversation("bulk") as talk:
            while not pull.done:
                for get in pull.requests():
                    yield from talk.say(get)
                heard = talk.hear()
                if heard is not None:
                    _accept(pull, heard)
                    tell(pull.bytes_done, pull.bytes_total)
                yield heard is not None
    finally:
        if not pull.done:
            pull.close()


def _accept(pull: Pull, received: Received) -> None:
    from .connection import expect

    message, arrays, _ = received
    chunk = expect(message, Chunk)
    if len(arrays) != 1 or arrays[0].dtype != np.uint8 or arrays[0].ndim != 1:
        raise BadFrames("The server sent a range of a file that is not one array of bytes.")
    pull.accept(chunk.digest, chunk.offset, arrays[0].data)
