"""How much a process and its descendants wanted to compute: on a busy machine, more than they did."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from backend.server import process_tree

_STOPPED = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
_WANTING = "RD"
"""States of a thread in Linux that has a processor, waits for one, or waits for a disk."""
_FREE_SHARE = 0.5
"""Share of one processor that was idle if a process did not have to wait for one."""


@dataclass(frozen=True)
class Use:
    """The use of processors up to one moment.

    Attributes:
        worked: seconds of processor time, also of children that have ended.
        waited: seconds that each thread was ready to run and had no processor; None if the system does not tell.
        idle: seconds that the processors of the machine were idle, all together.
        wanting: whether a thread waits for a processor or a disk at this moment.
        stopped: whether the process is stopped, as by SIGSTOP.
    """

    worked: float
    waited: Mapping[int, float] | None
    idle: float
    wanting: bool
    stopped: bool

    def was_idle(self, before: Use, seconds: float, share: float) -> bool:
        """Return whether the process wanted less than ``share`` of one processor in the ``seconds`` since ``before``.

        A system that does not tell how long threads waited leaves this open if all processors were busy. The process
        then does not count as idle.
        """
        if self.stopped and before.stopped:
            return True
        wanted = self.worked - before.worked
        if self.wanting or wanted < 0:  # if it fell, a descendant has ended
            return False
        if self.waited is None or before.waited is None:
            return wanted < share * seconds and self.idle - before.idle > _FREE_SHARE * seconds
        # A thread that has ended is no longer listed.
        wanted += sum(max(0.0, waited - before.waited.get(thread, 0.0)) for thread, waited in self.waited.items())
        return wanted < share * seconds


def use_of(pid: int) -> Use:
    """Return the use of a process and its descendants up to now; zeros if it has ended."""
    worked = 0.0
    waited: dict[int, float] | None = {}
    wanting = stopped = False
    for process in process_tree.members(pid):
        with contextlib.suppress(psutil.Error):
            worked += sum(process.cpu_times()[:4])  # user, system, and both of ended children
            stopped = stopped or (process.pid == pid and process.status() in _STOPPED)
        threads = _threads(process.pid)
        waited = None if waited is None or threads is None else waited | threads[0]
        wanting = wanting or (threads is not None and threads[1])
    return Use(worked, waited, psutil.cpu_times().idle, wanting, stopped)


def _threads(pid: int) -> tuple[dict[int, float], bool] | None:
    """Return how long each thread waited for a processor, in seconds, and whether one waits now; None if unknown."""
    folder = Path(f"/proc/{pid}/task")
    waited: dict[int, float] = {}
    wanting = False
    try:
        threads = list(folder.iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return ({}, False) if Path("/proc/self/schedstat").exists() else None
    for thread in threads:
        with contextlib.suppress(ProcessLookupError):
            try:
                waited[int(thread.name)] = int((thread / "schedstat").read_text().split()[1]) / 1e9
                # The name of the thread comes before it and may have any characters.
                wanting = wanting or (thread / "stat").read_text().rpartition(")")[2].split()[0] in _WANTING
            except FileNotFoundError:
                if thread.exists():
                    return None
    return waited, wanting
