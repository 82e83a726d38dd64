"""The worker's side of :mod:`backend.server.worker_protocol`: holds the lock, writes reports, reads orders."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from backend import lock
from backend.server import worker_protocol
from backend.server.worker_protocol import Line

LOOK_EVERY = 0.1
"""Interval at which orders are read, in seconds."""
TRY_AGAIN = 1.0
"""Seconds after which a line is written again if the disk was full."""


class HeldError(Exception):
    """Another worker holds the lock of the folder."""


class Channel:
    """Holds the lock of the job's folder until this process ends.

    Args:
        folder: of the job.
        token: of this start of a worker, from the server.

    Raises:
        HeldError: if another worker holds the lock.
    """

    def __init__(self, folder: Path, token: str) -> None:
        self.folder = folder
        held = lock.hold(folder / worker_protocol.LOCK)
        if held is None:
            raise HeldError
        self._held = held
        # Unbuffered, so that a line is written as a whole.
        self._file = worker_protocol.reports(folder, token).open("ab", buffering=0)
        self._torn = False
        lock.sign(folder / worker_protocol.LOCK, f"{os.getpid()} {token} {psutil.boot_time()}")

    def say(self, line: Line, *, surely: bool = False) -> None:
        """Write a line. If the disk is full, drop it, or with ``surely`` wait for space; ``surely`` also syncs."""
        while True:
            try:
                # The newline ends a previous line that was written only in part.
                self._file.write((b"\n" if self._torn else b"") + worker_protocol.pack(line))
                if surely:
                    os.fsync(self._file.fileno())
                self._torn = False
                return
            except OSError:
                self._torn = True
                if not surely or not self.folder.exists():
                    return
                time.sleep(TRY_AGAIN)

    def hear_orders(self, obey: Callable[[bytes], object]) -> None:
        """Call ``obey`` from a thread with an order of the server, and again with each different one."""
        threading.Thread(target=self._hear, args=(obey,), daemon=True).start()

    def _hear(self, obey: Callable[[bytes], object]) -> None:
        last = b""
        while True:
            order = worker_protocol.read_order(self.folder)
            if order not in (b"", last):
                last = order
                obey(order)
            time.sleep(LOOK_EVERY)
