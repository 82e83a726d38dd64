"""The worker's side of :mod:`backend.server.worker_protocol`: it holds the folder, reports, and hears orders."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from backend.server import lock, worker_protocol
from backend.server.worker_protocol import Line

LOOK_EVERY = 0.1
"""Seconds between two looks for an order."""
TRY_AGAIN = 1.0
"""Seconds until a line that the disk has no room for is written again."""


class HeldError(Exception):
    """Another worker holds the folder."""


class Channel:
    """Holds the job's folder as long as this process lives.

    Args:
        folder: of the job.
        token: which the server gave to this start of a worker.

    Raises:
        HeldError: if another worker holds the folder.
    """

    def __init__(self, folder: Path, token: str) -> None:
        self.folder = folder
        held = lock.hold(folder / worker_protocol.LOCK)
        if held is None:
            raise HeldError
        self._held = held
        # Unbuffered: a line is whole in the file, or not there.
        self._file = worker_protocol.reports(folder, token).open("ab", buffering=0)
        self._torn = False
        lock.sign(folder / worker_protocol.LOCK, f"{os.getpid()} {token} {psutil.boot_time()}")

    def say(self, line: Line, *, surely: bool = False) -> None:
        """Write a line. Where the disk is full, drop it; with ``surely``, wait for room, and for the disk."""
        while True:
            try:
                # What a full disk took of the line before ends here.
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
        """Call ``obey``, from a thread, with the order of the server when there is one, and with a later other one."""
        threading.Thread(target=self._hear, args=(obey,), daemon=True).start()

    def _hear(self, obey: Callable[[bytes], object]) -> None:
        last = b""
        while True:
            order = worker_protocol.read_order(self.folder)
            if order not in (b"", last):
                last = order
                obey(order)
            time.sleep(LOOK_EVERY)
