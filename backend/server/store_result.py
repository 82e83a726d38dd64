"""Stores a finished result folder, in steps."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

from protocol.coroutines import map_steps
from protocol.errors import BadResult
from protocol.manifest import pack_manifest, scan
from protocol.store import Store


def store_result(store: Store, folder: Path) -> Generator[None, None, tuple[str, int]]:
    """Store the files of ``folder`` and their manifest, yielding often so that the caller can do other work.

    Returns the manifest's hash and its size in bytes, when all files are on the disk.

    Raises:
        OSError: if the disk fails.
        BadResult: if the folder is missing or empty, or contains anything but regular files.
        BadScene: if a file cannot be read or its name cannot be sent.
    """
    files = _files(folder)
    entries = yield from map_steps(lambda _: None, scan(folder, files))
    yield from map_steps(lambda _: None, store.verify(entries))
    for path, entry in zip(files, entries, strict=True):
        store.adopt(path, entry.digest)
        yield
    manifest = pack_manifest(entries)
    digest = store.put(manifest)
    yield from store.settling([digest, *(entry.digest for entry in entries)])
    return digest, len(manifest)


def _files(folder: Path) -> list[Path]:
    files: list[Path] = []
    for place, folders, names in os.walk(folder):
        for path in (Path(place, name) for name in folders + names):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise BadResult(f"The result holds {path.relative_to(folder)}, which is not a regular file.")
        files += [Path(place, name) for name in names]
    if not files:
        raise BadResult("The worker finished without writing a result.")
    return files
