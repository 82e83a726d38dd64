"""When a silent process counts as frozen, by a clock and a processor of the tests."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend.server import silence
from backend.server.process_use import Use, use_of
from backend.server.silence import BUSY_AFTER, IDLE_AFTER, IDLE_SHARE, Silence


class Machine:
    """A clock, and how much of a processor the watched process uses, waits for, and leaves idle."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.share = 0.0
        self.waits: float | None = 0.0
        self.idle = 1.0
        self.wanting = self.stopped = False
        self._used = self._waited = self._idle = 0.0
        monkeypatch.setattr(silence, "use_of", lambda pid: self._use())
        self.silence = Silence(lambda: self.now)

    def _use(self) -> Use:
        waited = None if self.waits is None else {1: self._waited}
        return Use(self._used, waited, self._idle, self.wanting, self.stopped)

    def run(self, seconds: float, step: float = 0.5) -> str | None:
        """Look every ``step`` seconds; return the first word of a freeze."""
        end = self.now + seconds
        while self.now < end:
            self.now += step
            self._used += step * self.share
            self._waited += step * (self.waits or 0.0)
            self._idle += step * self.idle
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


def test_one_that_waits_for_a_busy_machine_is_not_frozen(machine):
    machine.share, machine.waits = 0.01, 0.9
    assert machine.run(10 * IDLE_AFTER) is None
    machine.waits = 0.0
    assert machine.run(2 * IDLE_AFTER + 2.0) is not None


def test_one_that_waits_for_a_disk_is_not_frozen(machine):
    machine.wanting = True
    assert machine.run(10 * IDLE_AFTER) is None
    machine.wanting = False
    assert machine.run(2 * IDLE_AFTER + 2.0) is not None


def test_a_descendant_that_ended_does_not_make_it_frozen(machine):
    assert machine.run(IDLE_AFTER) is None
    machine._used -= 5.0
    assert machine.run(2.0) is None


def test_a_system_that_does_not_tell_who_waits(machine):
    machine.waits, machine.idle = None, 0.1
    assert machine.run(10 * IDLE_AFTER) is None, "the whole machine was busy"
    machine.idle = 1.5
    assert machine.run(2 * IDLE_AFTER + 2.0) is not None


def test_a_stopped_one_is_frozen_on_a_busy_machine_as_well(machine):
    machine.waits, machine.idle, machine.stopped = None, 0.0, True
    assert machine.run(IDLE_AFTER + 2.0) is not None


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this system does not tell who waits")
def test_a_starved_process_is_told_from_one_that_sleeps():
    """Both share one processor with another program that has a higher priority."""
    busy, idle = "while True: pass", "import time; time.sleep(60)"
    on_one = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    starved = "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\nprint(flush=True)\n"
    begun = "print(flush=True)\n"
    programs = [on_one + starved + busy, on_one + starved + idle, on_one + begun + busy]
    processes = [subprocess.Popen([sys.executable, "-c", each], stdout=subprocess.PIPE) for each in programs]
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        before = [use_of(process.pid) for process in processes]
        time.sleep(1.5)
        uses = [use_of(process.pid) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert uses[0].worked - before[0].worked < 0.5, "it hardly ran"
    assert [now.was_idle(then, 1.5, IDLE_SHARE) for then, now in zip(before, uses, strict=True)] == [False, True, False]
