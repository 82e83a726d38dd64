"""When a silent process counts as frozen, by a clock and a processor of the tests."""

from __future__ import annotations

import pytest

from backend.server import silence
from backend.server.silence import BUSY_AFTER, IDLE_AFTER, Silence


class Machine:
    """A clock, and how much of the processor the watched process uses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.share = 0.0
        self._used = 0.0
        monkeypatch.setattr(silence, "seconds_of_work", lambda pid: self._used)
        self.silence = Silence(lambda: self.now)

    def run(self, seconds: float, step: float = 0.5) -> str | None:
        """Look every ``step`` seconds; return the first word of a freeze."""
        end = self.now + seconds
        while self.now < end:
            self.now += step
            self._used += step * self.share
            if (how := self.silence.frozen(1)) is not None:
                return how
        return None


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


def test_an_idle_process_is_frozen_after_a_minute(machine):
    assert machine.run(IDLE_AFTER) is None
    assert machine.run(2.0) == "was frozen for 61 seconds"


def test_a_busy_process_has_an_hour(machine):
    machine.share = 0.5
    assert machine.run(BUSY_AFTER) is None
    assert machine.run(1.0) == "made no progress for 60 minutes"


def test_one_that_speaks_is_never_frozen(machine):
    for _ in range(10):
        assert machine.run(IDLE_AFTER) is None
        machine.silence.broken()


def test_one_that_stops_computing_is_frozen_a_minute_or_two_later(machine):
    machine.share = 1.0
    assert machine.run(10 * IDLE_AFTER) is None
    machine.share = 0.0
    assert machine.run(2 * IDLE_AFTER + 2.0) is not None


def test_time_in_which_nobody_looked_counts_little(machine):
    """This process was stopped too, or the machine slept."""
    for _ in range(20):
        machine.now += 3600.0
        assert machine.silence.frozen(1) is None
