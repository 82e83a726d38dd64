"""A process and all that it started, on every system: whether it runs, what it computes, its end."""

from __future__ import annotations

import contextlib
import os
import signal

import psutil

_GROUPS = hasattr(os, "killpg")
"""Whether this system has process groups: they also hold what a process has started and then been left by."""


def runs(pid: int) -> bool:
    """Say whether a process runs; one that has ended and waits for its parent's notice does not."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def seconds_of_work(pid: int) -> float:
    """Return the processor time that a process and all that it started have used, in seconds."""
    total = 0.0
    for process in _tree(pid):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def terminate(pid: int) -> None:
    """Ask a process and all that it started to end. On Windows, which cannot ask, end them."""
    _signal(pid, signal.SIGTERM)
    for process in _tree(pid):
        with contextlib.suppress(psutil.Error):
            process.terminate()


def kill(pid: int) -> None:
    """End a process and all that it started."""
    tree = _tree(pid)
    kill_group(pid)
    for process in tree:
        with contextlib.suppress(psutil.Error):
            process.kill()


def kill_group(pid: int) -> None:
    """End what is left of a process that led a group, where this system has groups."""
    _signal(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def _tree(pid: int) -> list[psutil.Process]:
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.Error:
        return []


def _signal(pid: int, number: signal.Signals) -> None:
    """Signal the group of a process that leads one."""
    if _GROUPS:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)
