"""How fast something goes, and how long it will still take, from what was done when."""

from __future__ import annotations

from collections import deque

MEMORY = 10.0
"""Seconds that are looked back on: the speed of a transfer changes with what else goes over the line."""
FIRST = 2.0
"""Seconds before which nothing is said: the first ones tell little of the rest."""
SAMPLE = 0.2
"""Seconds between two remembered moments."""


class Pace:
    """What was done of one thing at a few moments of the last seconds."""

    def __init__(self) -> None:
        self._moments: deque[tuple[float, float]] = deque()

    def tell(self, now: float, done: float) -> None:
        """Take note that at ``now``, seconds of any clock, so much is done; less than before begins anew."""
        if self._moments and done < self._moments[-1][1]:
            self._moments.clear()
        if len(self._moments) > 1 and now - self._moments[-2][0] < SAMPLE:
            self._moments.pop()
        self._moments.append((now, done))
        while now - self._moments[0][0] > MEMORY and len(self._moments) > 2:
            self._moments.popleft()

    @property
    def speed(self) -> float | None:
        """How much is done in a second, or None while that cannot be said."""
        if not self._moments:
            return None
        (begin, first), (end, last) = self._moments[0], self._moments[-1]
        return (last - first) / (end - begin) if end - begin >= FIRST and last > first else None

    def left(self, total: float) -> float | None:
        """Seconds until ``total`` is done, or None while that cannot be said."""
        speed = self.speed
        return None if speed is None else max(0.0, total - self._moments[-1][1]) / speed


def in_words(seconds: float) -> str:
    """Return a time to wait in few words: "5 s", "3 min", "1 h 20 min"."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
