"""Downloads a job's result: into the content-addressed store, then linked into a folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from protocol.coroutines import map_steps
from protocol.errors import BadFrames, BadResult
from protocol.manifest import MAX_MANIFEST
from protocol.messages import Chunk, FileEntry, Result
from protocol.pull import Pull
from protocol.result.folder import whole_folder
from protocol.store import Store, reading_manifest

from .cache import Cache
from .coroutines import Steps
from .dispatcher import Dispatcher, expect
from .local_store import link_files
from .sockets import Received

Tell = Callable[[int, int], object]
"""Called with the bytes done and their total."""


def download(
    job: str, result: Result, dispatcher: Dispatcher, cache: Cache, local: Path | None, tell: Tell
) -> Steps[Path]:
    """Download the result of a job and return its folder, which gets its final name when it is complete.

    Args:
        job: its id.
        local: the root of the server's store, if it is on this machine.

    Raises:
        ConnectionLost: if the link is closed; received data is kept for the next attempt.
        BadResult, BadFrames: if the received data is invalid.
        Unavailable: if the cache's disk is full or fails.
    """
    folder = cache.result_folder(job)
    if folder.is_dir():
        return folder
    entries = yield from fetch_manifest(result, dispatcher, cache.store, local)
    yield from _fetch(entries, dispatcher, cache.store, local, tell)
    part = yield from _lay_out(entries, folder, cache.store)
    part.rename(folder)
    return folder


def renew(
    job: str, result: Result, dispatcher: Dispatcher, cache: Cache, local: Path | None, tell: Tell
) -> Steps[Path]:
    """As :func:`download`, for a new version of the result: it replaces the folder of the version before it."""
    folder = cache.result_folder(job)
    entries = yield from fetch_manifest(result, dispatcher, cache.store, local)
    yield from _fetch(entries, dispatcher, cache.store, local, tell)
    part = yield from _lay_out(entries, folder, cache.store)
    with whole_folder(folder) as new:
        new.rmdir()
        part.rename(new)
    return folder


def fetch_manifest(result: Result, dispatcher: Dispatcher, store: Store, local: Path | None) -> Steps[list[FileEntry]]:
    """Return the files of a version of a result; raises as :func:`download`."""
    if result.size > MAX_MANIFEST:
        raise BadResult(f"The result has a manifest of {result.size} bytes; at most {MAX_MANIFEST} are allowed.")
    manifest = [FileEntry("manifest", result.size, result.manifest)]
    yield from _fetch(manifest, dispatcher, store, local, lambda done, total: None)
    return (yield from map_steps(lambda _: True, reading_manifest(store, result.manifest)))


def _lay_out(entries: list[FileEntry], folder: Path, store: Store) -> Steps[Path]:
    """Link the files of a result into a folder next to ``folder``, and return that."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for entry in entries:
        store.checkout([entry], part)
        yield True
    return part


def _fetch(
    entries: list[FileEntry], dispatcher: Dispatcher, store: Store, local: Path | None, tell: Tell
) -> Steps[None]:
    """Fetch the ``entries`` that the store lacks or has damaged."""
    yield from map_steps(lambda _: True, store.verify(entries))
    if local is not None:
        yield from link_files(store, local, entries, tell)
    pull = yield from map_steps(lambda _: True, Pull.preparing(store, entries))
    try:
        with dispatcher.conversation("bulk") as talk:
            while not pull.done:
                for get in pull.requests():
                    yield from talk.ask(get)
                received = talk.receive()
                if received is not None:
                    _accept(pull, received)
                    tell(pull.bytes_done, pull.bytes_total)
                yield received is not None
    finally:
        if not pull.done:
            pull.close()


def _accept(pull: Pull, received: Received) -> None:
    message, arrays, _ = received
    chunk = expect(message, Chunk)
    if len(arrays) != 1 or arrays[0].dtype != np.uint8 or arrays[0].ndim != 1:
        raise BadFrames("The server sent a part of a file that is not an array of bytes.")
    pull.accept(chunk.digest, chunk.offset, arrays[0].data)
