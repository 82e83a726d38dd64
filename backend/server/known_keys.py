"""The keys of clients that may connect: a thread follows the key files, so that a revocation needs no restart."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

from backend.server import clients, keys
from backend.server.shortage import shortage
from protocol.errors import Unavailable

LOOK = 0.2
"""Interval at which the files are checked, in seconds."""

_Signature = tuple[tuple[int, int, int] | None, ...]


class KnownKeys:
    """The public keys of the clients that may connect.

    Args:
        data: the server's data folder.
        gone: called from the thread with keys that have become invalid.

    Raises:
        Unavailable: as :func:`backend.server.clients.keys_of`.
    """

    def __init__(self, data: Path, gone: Callable[[frozenset[str]], object]) -> None:
        self._data = data
        self._gone = gone
        self._seen = self._signature()
        self._names = clients.keys_of(data)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keys", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def name(self, key: str) -> str | None:
        """Return the client that a public key belongs to, None if it may not connect; may be called from any thread."""
        return self._names.get(key)

    def _run(self) -> None:
        while not self._ending.wait(LOOK):
            seen = self._signature()
            if seen != self._seen and self._read():
                self._seen = seen

    def _read(self) -> bool:
        """Read the files; return whether that was possible."""
        before = self._names
        try:
            now = clients.keys_of(self._data)
        except Unavailable as fault:
            if shortage(fault) is not None:
                return False
            # The file may be damaged or changed by another user.
            print(f"No client may connect: {fault}", file=sys.stderr, flush=True)
            now = {}
        self._names = now
        gone = frozenset(key for key, name in before.items() if now.get(key) != name)
        if gone:
            self._gone(gone)
        return True

    def _signature(self) -> _Signature:
        return tuple(_version(self._data / name) for name in (keys.FILE, clients.FILE))


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
