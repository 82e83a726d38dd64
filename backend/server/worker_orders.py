"""Orders to a worker, through the file of its job's folder; see :mod:`backend.server.worker_protocol`."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from backend.server import worker_protocol


class TakesOrders:
    """Base of workers: asks them to cancel or to stop.

    Args:
        folder: the job's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._cancelled_at: float | None = None

    def ask_to_cancel(self) -> None:
        """Ask it to end; ``insist`` then makes sure that it does."""
        if self._cancelled_at is None:
            self._cancelled_at = time.monotonic()
            self._order(worker_protocol.CANCEL)

    def ask_to_stop(self) -> None:
        """Ask it to write a checkpoint and end."""
        self._order(worker_protocol.STOP)

    def waited(self) -> float | None:
        """Return the seconds since it was asked to cancel; None if it was not."""
        return None if self._cancelled_at is None else time.monotonic() - self._cancelled_at

    def _order(self, order: bytes) -> None:
        with contextlib.suppress(OSError):  # the folder cannot be written; insist() needs no file
            worker_protocol.write_order(self.folder, order)
