"""A process and its descendants, on every system: whether it runs, its members, how to end it."""

from __future__ import annotations

import contextlib
import os
import signal

import psutil

_GROUPS = hasattr(os, "killpg")
"""Whether this system has process groups. A group also contains descendants whose parent has ended."""


def runs(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def members(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants; nothing if it has ended."""
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.Error:
        return []


def terminate(pid: int) -> None:
    """Ask a process and its descendants to end. On Windows, where this is not possible, kill them."""
    _signal(pid, signal.SIGTERM)
    for process in members(pid):
        with contextlib.suppress(psutil.Error):
            process.terminate()


def kill(pid: int) -> None:
    """Kill a process and its descendants."""
    tree = members(pid)
    kill_group(pid)
    for process in tree:
        with contextlib.suppress(psutil.Error):
            process.kill()


def kill_group(pid: int) -> None:
    """Kill the group that a process leads, if this system has groups."""
    _signal(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def _signal(pid: int, number: signal.Signals) -> None:
    """Send a signal to the group that a process leads."""
    if _GROUPS:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)
