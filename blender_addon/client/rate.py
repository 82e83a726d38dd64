"""The rate of a transfer or computation, and its remaining time, from recent samples."""

from __future__ import annotations

from collections import deque

WINDOW = 10.0
"""Seconds of samples that are kept: the rate changes with other traffic."""
MIN_SPAN = 2.0
"""Seconds that the samples must span before a rate is returned: the first moments are not representative."""
SAMPLE_PERIOD = 0.2
"""Seconds between two samples that are kept."""


class Rate:
    """Samples of how much was done at which time."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque()

    def add(self, now: float, done: float) -> None:
        """Add a sample: the amount done at ``now``, in seconds of any clock. A smaller amount than before restarts."""
        if self._samples and done < self._samples[-1][1]:
            self._samples.clear()
        if len(self._samples) > 1 and now - self._samples[-2][0] < SAMPLE_PERIOD:
            self._samples.pop()
        self._samples.append((now, done))
        while now - self._samples[0][0] > WINDOW and len(self._samples) > 2:
            self._samples.popleft()

    @property
    def speed(self) -> float | None:
        """Amount per second, or None while it is not known."""
        if not self._samples:
            return None
        (begin, first), (end, last) = self._samples[0], self._samples[-1]
        return (last - first) / (end - begin) if end - begin >= MIN_SPAN and last > first else None

    def left(self, total: float) -> float | None:
        """Seconds until ``total`` is done, or None while that is not known."""
        speed = self.speed
        return None if speed is None else max(0.0, total - self._samples[-1][1]) / speed


def format_duration(seconds: float) -> str:
    """Return a duration as a short text: "5 s", "3 min", "1 h 20 min"."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
