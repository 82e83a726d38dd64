"""Whether a process that says nothing still works.

The main loop of a worker reports many times a minute, so a main thread that waits for ever is silent too, whatever its
other threads do. But a kernel may run long, and a first start compiles for minutes. So silence counts twice: with the
process idle for a minute, or, however busy it is, after an hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from backend.server.process_tree import seconds_of_work

IDLE_AFTER = 60.0
"""Seconds of silence after which a process that hardly used the processor meanwhile counts as frozen."""
BUSY_AFTER = 3600.0
"""Seconds of silence after which any process does."""
IDLE_SHARE = 0.02
"""Share of one processor below which a process counts as idle: its waiting threads need some."""
_STEP = 2.0
"""Seconds at most by which silence grows from one look to the next: this process may itself have been stopped, or the
machine asleep."""


class Silence:
    """How long one process has said nothing.

    Args:
        clock: seconds; for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.broken()

    def broken(self) -> None:
        """Note that the process has said something, or is not expected to."""
        self._silent = 0.0
        self._looked = self._clock()
        self._window: tuple[float, float] | None = None

    def frozen(self, pid: int | None) -> str | None:
        """Return how a process is frozen, as the end of a sentence, None where it may still work.

        Args:
            pid: its number; None for one of another machine, whose use of the processor cannot be seen.
        """
        now = self._clock()
        self._silent += min(now - self._looked, _STEP)
        self._looked = now
        if self._silent > BUSY_AFTER:
            return f"made no progress for {BUSY_AFTER / 60:.0f} minutes"
        if pid is None or self._silent < min(1.0, IDLE_AFTER):
            return None
        if self._window is None:
            self._window = (self._silent, seconds_of_work(pid))
            return None
        began, used = self._window
        if self._silent - began < IDLE_AFTER:
            return None
        self._window = (self._silent, seconds_of_work(pid))
        if self._window[1] - used < IDLE_SHARE * (self._silent - began):
            return f"was frozen for {self._silent:.0f} seconds"
        return None
