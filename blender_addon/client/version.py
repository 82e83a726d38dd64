"""Versions of a result: corrections and names on the server make a new one, which replaces the downloaded folder."""

from __future__ import annotations

from pathlib import Path

from protocol.errors import Refused
from protocol.manifest import digest_of
from protocol.messages import GetResult, Result
from protocol.result.names import CORRECTIONS, TABLE

from .cache import Cache
from .connection import Connection
from .coroutines import Steps
from .download import fetch_manifest, renew


def check_newest(connection: Connection, cache: Cache, job: str) -> Steps[Result]:
    """Return the newest version of a result, after checking that the downloaded folder, if any, is that version.

    Raises:
        Refused: if the folder was edited, or the result was changed by another client, since it was downloaded.
        Fault: the server's. ConnectionLost: if the link is closed.
    """
    dispatcher = yield from connection.connected()
    newest = yield from dispatcher.ask(GetResult(job), Result)
    folder = cache.result_folder(job)
    if not folder.is_dir():
        return newest
    entries = yield from fetch_manifest(newest, dispatcher, cache.store, connection.info.local_store)
    known = {entry.path: entry.digest for entry in entries}
    for name in (TABLE, CORRECTIONS):
        path = folder / name
        if (digest_of(path.read_bytes()) if path.is_file() else None) != known.get(name):
            raise Refused(
                f"The result {folder} was edited, or corrected elsewhere, since it was downloaded.",
                "Move the folder away and download the result again.",
            )
    return newest


def renew_folder(connection: Connection, cache: Cache, result: Result) -> Steps[Path]:
    """Download a new version of a result; it replaces the folder of the version before it, which is returned.

    Raises:
        BadResult, BadFrames: if the received data is invalid. Unavailable: if the disk is full or fails.
        ConnectionLost: if the link is closed.
    """
    dispatcher = yield from connection.connected()
    local = connection.info.local_store
    return (yield from renew(result.job, result, dispatcher, cache, local, lambda done, total: None))
