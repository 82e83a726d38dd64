"""A lock file: one server on a data folder, one run on an output.

The lock is released when the process that holds it closes it, exits or is killed.

A second file, ``*.pid``, says which process holds it, because on Windows other processes cannot read a locked file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from protocol.errors import BadArgument
from protocol.whole_file import write_whole


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


@contextmanager
def in_use(out: Path) -> Iterator[None]:
    """Hold the lock of an output, because two runs with one output would delete each other's unfinished work.

    The lock file is next to the output. It is removed at the end, as are folders made for it that are still empty.

    Raises:
        BadArgument: if another process holds the lock, or the lock file cannot be made.
    """
    out = out.absolute()
    path = out.with_name(f".{out.name.lstrip('.')}.lock")
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = _hold_named(path)
    except OSError as error:
        raise BadArgument(
            f"The output {out} cannot be written: {error.strerror}.", "Choose another output folder."
        ) from error
    if held is None:
        raise BadArgument(
            f"Another process is writing the output {out}.", "Wait until it has ended, or choose another output folder."
        )
    try:
        yield
    finally:
        # Windows removes no open file, so the file is removed again after the release there.
        for step in (path.unlink, held.close, path.unlink) if os.name == "nt" else (path.unlink, held.close):
            with suppress(OSError):
                step()
        with suppress(OSError):
            for folder in made:
                folder.rmdir()


def _hold_named(path: Path) -> Held | None:
    """As :func:`hold`, for a file that its holder removes: the locked file is the one that has the name."""
    while True:
        with path.open("ab") as opened:
            held = hold(path)
            if held is None:
                return None
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(opened.fileno()), path.stat()):
                    return held
            held.close()


def sign(path: Path, text: str) -> None:
    """Write a text that identifies this process, which holds the lock."""
    write_whole(path.with_suffix(".pid"), text.encode(), durable=False)


def signature(path: Path) -> str | None:
    """Return the first 200 characters of what the last holder of a lock wrote; None if it wrote nothing."""
    try:
        with path.with_suffix(".pid").open(encoding="utf-8", errors="replace") as file:
            return file.read(200)
    except OSError:
        return None
