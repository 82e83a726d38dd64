"""A file that one process holds: it is let go of when that process, and all that inherited it, are gone."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import BinaryIO


def hold(path: Path) -> BinaryIO | None:
    """Take the lock file ``path`` and return it open, or None where another process holds it.

    Closing the file, or the end of the process, gives the lock back; a stale one cannot be left behind.
    """
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def sign(file: BinaryIO, pid: int) -> None:
    """Write into a held lock whose it is."""
    file.seek(0)
    file.truncate()
    file.write(str(pid).encode())


def signature(path: Path) -> int | None:
    """Return the process number in a lock file, or None if the file has no number."""
    text = path.read_bytes()[:20]
    return int(text) if text.isdigit() else None
