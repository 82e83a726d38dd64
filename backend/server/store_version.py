"""Stores a new version of a result; most of its files are stored already."""

from __future__ import annotations

from pathlib import Path

from backend.server.store_result import store_result
from protocol.coroutines import finish
from protocol.errors import NotFound
from protocol.result.names import EVIDENCE, SPLATS
from protocol.store import Store, read_manifest


def check_base(store: Store, base: str, newest: str) -> None:
    """Refuse a base that is not a version of a result: all versions have the same evidence, or the same Gaussians.

    Args:
        store: of the server.
        base, newest: hashes of the manifests.

    Raises:
        NotFound: if it is no version.
    """
    if base == newest:
        return
    of_base, of_newest = (
        {entry.path: entry.digest for entry in read_manifest(store, manifest)} for manifest in (base, newest)
    )
    shared = EVIDENCE if EVIDENCE in of_newest else SPLATS
    if of_base.get(shared) != of_newest[shared]:
        raise NotFound("The job has no such version of its result.", "Import the result again.")


def store_version(store: Store, folder: Path) -> tuple[str, int]:
    """Store the files of ``folder`` and their manifest; return the manifest's hash and its size in bytes.

    Args:
        store: the server's.
        folder: the whole result; unchanged files in it may be hard links into the store.

    Raises:
        OSError: if the disk fails. BadResult, BadScene: as :func:`backend.server.store_result.store_result`.
    """
    return finish(store_result(store, folder))
