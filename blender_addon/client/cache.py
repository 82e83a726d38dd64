"""The cache of downloads and its eviction."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Collection, Generator
from pathlib import Path

from protocol.coroutines import FILES_A_STEP
from protocol.errors import Unavailable
from protocol.eviction import evict
from protocol.store import Store


class Cache:
    """A folder for downloads: ``store`` by content, ``results`` with one folder per job. Created when first needed.

    Attributes:
        folder: the root.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._store: Store | None = None

    def result_folder(self, job: str) -> Path:
        """Return the path of a job's result, downloaded or not."""
        return self.folder / "results" / job

    @property
    def store(self) -> Store:
        """The content-addressed store of downloads.

        Raises:
            Unavailable: if the folder cannot be created.
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
    """Remove files until the cache holds at most ``limit`` bytes, or nothing else may be removed.

    Files that belong to no result are removed first, then results that are not ``kept``, each oldest first. Yields
    often; returns the number of bytes removed.

    Args:
        cache: the folder with ``store`` and ``results``, whose files are hard links to each other.
        limit: bytes.
        kept: ids of jobs whose results are kept.
    """
    store = Store(cache / "store", durable=False)
    # Hard links from elsewhere, such as the store of a server on this machine, do not count.
    stored: dict[int, str] = {}
    for count, path in enumerate(store.files()):
        stored[path.stat().st_ino] = path.name
        if count % FILES_A_STEP == 0:
            yield
    outside: dict[str, int] = {}
    removable: list[_Result] = []
    staying: list[_Result] = []
    folders = [path for path in (cache / "results").glob("*") if path.is_dir()]
    for folder in sorted(folders, key=lambda path: path.stat().st_mtime):
        contents: set[str] = set()
        for count, path in enumerate(folder.rglob("*")):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                name = stored.get(status.st_ino, f"inode {status.st_ino}")
                contents.add(name)
                if status.st_ino not in stored:
                    outside[name] = status.st_size
            if count % FILES_A_STEP == 0:
                yield
        (staying if folder.name in kept else removable).append(_Result(folder, contents))
        yield
    return (yield from evict(store, limit, removable, lambda: staying, loose_before=float("inf"), outside=outside))


class _Result:
    """The folder of a result: hard links to stored files, or copies if the disk does not support links."""

    def __init__(self, folder: Path, contents: set[str]) -> None:
        self.folder = folder
        self._contents = contents

    def contents(self) -> set[str]:
        return self._contents

    def remove(self) -> None:
        shutil.rmtree(self.folder)
