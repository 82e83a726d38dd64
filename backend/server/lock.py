"""A lock file: the lock is released when the process that holds it closes it, exits or is killed.

A second file, ``*.pid``, says which process holds it, because on Windows other processes cannot read a locked file.
"""

from __future__ import annotations

from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout


class Held:
    """A lock that this process holds until :meth:`close`, which also ends a ``with``."""

    def __init__(self, lock: BaseFileLock) -> None:
        self._lock = lock

    def close(self) -> None:
        self._lock.release(force=True)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def hold(path: Path) -> Held | None:
    """Take the lock ``path``, or return None if another process holds it. A killed process leaves no stale lock.

    Raises:
        OSError: if the file cannot be made.
    """
    lock = FileLock(path, mode=0o600, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return Held(lock)


def sign(path: Path, text: str) -> None:
    """Write a text that identifies this process, which holds the lock."""
    final = path.with_suffix(".pid")
    part = path.with_suffix(".pid.part")
    part.write_text(text, encoding="utf-8")
    part.replace(final)


def signature(path: Path) -> str | None:
    """Return the first 200 characters of what the last holder of a lock wrote; None if it wrote nothing."""
    try:
        with path.with_suffix(".pid").open(encoding="utf-8", errors="replace") as file:
            return file.read(200)
    except OSError:
        return None
