"""The cache of downloads: where they are, and which are removed when it grows too large."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Collection, Generator
from pathlib import Path

from protocol.blobs import Store
from protocol.errors import Unavailable

_FILES_A_STEP = 200


class Cache:
    """A folder for downloads: ``store`` by content, ``results`` one folder a job. Made when first needed.

    Attributes:
        folder: the root.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._store: Store | None = None

    def result_folder(self, job: str) -> Path:
        """Return where the result of a job lies or will lie."""
        return self.folder / "results" / job

    @property
    def store(self) -> Store:
        """Where downloads lie by content.

        Raises:
            Unavailable: if the folder cannot be made.
        """
        if self._store is None:
            try:
                self._store = Store(self.folder / "store", durable=False)
            except OSError as error:
                raise Unavailable(
                    f"The cache folder {self.folder} cannot be used: {error.strerror}.",
                    "Choose another one in the add-on's preferences.",
                ) from error
        return self._store


def make_room(cache: Path, limit: int, kept: Collection[str]) -> Generator[None, None, int]:
    """Remove files until the cache holds at most ``limit`` bytes, or nothing is left that may go.

    First contents go that are part of no result, then results that are not ``kept``; among each, the oldest first.
    Yields often; returns how many bytes were removed.

    Args:
        cache: with ``store`` and ``results``, whose files are hard links to one another.
        limit: bytes.
        kept: ids of jobs whose results stay.
    """
    sizes: dict[int, int] = {}
    # Links from elsewhere, such as the store of a server on this machine, do not count.
    links: Counter[int] = Counter()
    stored: dict[int, Path] = {}
    ages: dict[int, float] = {}
    for count, path in enumerate(path for path in (cache / "store").rglob("*") if len(path.name) == 64):
        status = path.stat()
        sizes[status.st_ino] = status.st_size
        links[status.st_ino] += 1
        stored[status.st_ino] = path
        ages[status.st_ino] = status.st_mtime
        if count % _FILES_A_STEP == 0:
            yield
    results = [path for path in (cache / "results").glob("*") if path.is_dir() and path.name not in kept]
    for count, path in enumerate((cache / "results").rglob("*")):
        status = path.lstat()
        if path.is_file():
            sizes[status.st_ino] = status.st_size
            links[status.st_ino] += 1
        if count % _FILES_A_STEP == 0:
            yield
    excess = sum(sizes.values()) - limit
    removed = 0
    for inode in sorted((inode for inode in stored if links[inode] == 1), key=lambda inode: ages[inode]):
        if removed < excess:
            stored[inode].unlink(missing_ok=True)
            removed += sizes[inode]
            yield
    for folder in sorted(results, key=lambda path: path.stat().st_mtime):
        if removed >= excess:
            break
        going = Counter(path.stat().st_ino for path in folder.rglob("*") if path.is_file())
        shutil.rmtree(folder)
        yield
        links -= going
        for inode in going:
            if links[inode] == 1 and inode in stored:
                stored[inode].unlink(missing_ok=True)
                links[inode] = 0
            if links[inode] == 0:
                removed += sizes.pop(inode, 0)
        yield
    return removed
