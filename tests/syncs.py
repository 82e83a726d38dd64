"""Which files and folders this process has synced."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


class Syncs:
    """Stands in for ``os.fsync``.

    Attributes:
        before: called before each sync.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()
        self._sync = os.fsync
        self.before: Callable[[], object] = lambda: None

    def __call__(self, descriptor: int) -> None:
        self.before()
        self._sync(descriptor)
        status = os.fstat(descriptor)
        self._seen.add((status.st_dev, status.st_ino))

    def of(self, path: Path) -> bool:
        """Whether what is at ``path`` now was synced."""
        status = path.stat()
        return (status.st_dev, status.st_ino) in self._seen

    def clear(self) -> None:
        self._seen.clear()
