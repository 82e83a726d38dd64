"""Whether a process that sends no messages still works.

The main loop of a worker reports many times a minute, so a worker with a blocked main thread is silent, whatever its
other threads do. But a kernel may run for long, and compilation at the first start takes minutes. So a silent process
is frozen if it was idle for a minute, or, busy or not, after an hour. A process that waits for a processor, because the
machine is busy, is not idle.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from backend.server.process_use import Use, use_of

IDLE_AFTER = 60.0
"""Seconds of silence after which an idle process is frozen."""
BUSY_AFTER = 3600.0
"""Seconds of silence after which any process is frozen."""
IDLE_SHARE = 0.02
"""Share of one processor below which a process is idle, used or waited for; waiting threads use some."""
_STEP = 2.0
"""Most seconds that are added from one check to the next: this process may have been stopped, or the machine
suspended."""


class Silence:
    """The silence of one process.

    Args:
        clock: returns seconds; for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.broken()

    def broken(self) -> None:
        """Note that the process has sent a message, or need not send one."""
        self._silent = 0.0
        self._looked = self._clock()
        self._window: tuple[float, Use] | None = None

    def frozen(self, pid: int | None) -> str | None:
        """Return how a process is frozen, as the end of a sentence; None if it may still work.

        Args:
            pid: its id; None for a process of another machine, whose processor time is not known.
        """
        now = self._clock()
        self._silent += min(now - self._looked, _STEP)
        self._looked = now
        if self._silent > BUSY_AFTER:
            return f"made no progress for {BUSY_AFTER / 60:.0f} minutes"
        if pid is None or self._silent < min(1.0, IDLE_AFTER):
            return None
        if self._window is None:
            self._window = (self._silent, use_of(pid))
            return None
        began, before = self._window
        passed = self._silent - began
        if passed < IDLE_AFTER:
            return None
        now_used = use_of(pid)
        self._window = (self._silent, now_used)
        if now_used.was_idle(before, passed, IDLE_SHARE):
            return f"was frozen for {self._silent:.0f} seconds"
        return None
