"""Results that stay open in a process, so that only the first question about each has to read its files."""

from __future__ import annotations

import shutil
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from protocol.store import Store, read_manifest

T = TypeVar("T")


class OpenedResults(Generic[T]):
    """The last few results.

    Args:
        store: has the results.
        folder: a working folder for their files; emptied first.
        read: opens a result in a folder.
        most: largest number of open results.
        needed: paths of the files that ``read`` needs; None for all files.
        keep: whether the files of an open result stay in their folder.
    """

    def __init__(
        self,
        store: Store,
        folder: Path,
        read: Callable[[Path], T],
        most: int,
        needed: frozenset[str] | None = None,
        keep: bool = False,
    ) -> None:
        self._store = store
        self._folder = folder
        self._read = read
        self._most = most
        self._needed = needed
        self._keep = keep
        self._opened: OrderedDict[str, T] = OrderedDict()
        shutil.rmtree(folder, ignore_errors=True)

    def path(self, manifest: str) -> Path:
        """Return the folder with the files of a result."""
        return self._folder / manifest

    def get(self, manifest: str) -> T:
        """Return the result with this manifest.

        Raises:
            Fault: if it is not stored, or cannot be read.
        """
        if manifest not in self._opened:
            self._opened[manifest] = self._open(manifest)
            while len(self._opened) > self._most:
                old, _ = self._opened.popitem(last=False)
                shutil.rmtree(self.path(old), ignore_errors=True)
        self._opened.move_to_end(manifest)
        return self._opened[manifest]

    def _open(self, manifest: str) -> T:
        entries = read_manifest(self._store, manifest)
        wanted = [entry for entry in entries if self._needed is None or entry.path in self._needed]
        is_read = False
        try:
            self._store.checkout(wanted, self.path(manifest))
            opened = self._read(self.path(manifest))
            is_read = True
            return opened
        finally:
            if not (is_read and self._keep):
                shutil.rmtree(self.path(manifest), ignore_errors=True)
