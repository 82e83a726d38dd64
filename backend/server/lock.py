"""A file that one process holds: the lock is released when that process closes it or ends, however it ends.

Another file beside it, ``*.pid``, says who holds it: on Windows nobody else can read a locked file.
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
    """Take the lock file ``path``, or return None where somebody holds it. A stale lock cannot be left behind.

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
    """Write beside a lock that this process holds who it is."""
    final = path.with_suffix(".pid")
    part = path.with_suffix(".pid.part")
    part.write_text(text, encoding="utf-8")
    part.replace(final)


def signature(path: Path) -> str | None:
    """Return what the last holder of a lock has written beside it, its first 200 characters; None where it has not."""
    try:
        with path.with_suffix(".pid").open(encoding="utf-8", errors="replace") as file:
            return file.read(200)
    except OSError:
        return None
