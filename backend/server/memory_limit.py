"""The memory that a worker may use: it watches itself, and ends with an error before the machine's memory is full.

The system's limit on address space (RLIMIT_AS) cannot be used: CUDA reserves far more addresses than memory.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import psutil

from backend.memory import CGROUP

SHARE = 0.9
"""Default limit, as a share of the memory of the machine or its container."""
LOOK_EVERY = 0.1
"""Interval of the checks, in seconds: a process can fill some hundred megabytes in it."""
CHILDREN_EVERY = 100
"""Number of checks from one measurement of the child processes to the next: finding them takes some milliseconds."""


def usual_limit() -> int:
    """Return the default limit on this machine in bytes."""
    total = psutil.virtual_memory().total
    with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit
        total = min(total, int((CGROUP / "memory.max").read_text()))
    return int(SHARE * total)


def watch(limit: int, exceeded: Callable[[], object]) -> None:
    """Call ``exceeded`` from a thread once this process and its children use more than ``limit`` bytes."""
    threading.Thread(target=_watch, args=(limit, exceeded), daemon=True).start()


def used(process: psutil.Process) -> int:
    """Return the bytes of memory of a process, without files that it has mapped."""
    info = process.memory_info()
    return info.rss - getattr(info, "shared", 0)


def _watch(limit: int, exceeded: Callable[[], object]) -> None:
    process = psutil.Process()
    others = looks = 0
    while True:
        if looks % CHILDREN_EVERY == 0:
            others = sum(map(_used_or_gone, process.children(recursive=True)))
        looks += 1
        if used(process) + others > limit:
            exceeded()
            return
        time.sleep(LOOK_EVERY)


def _used_or_gone(process: psutil.Process) -> int:
    try:
        return used(process)
    except psutil.Error:
        return 0
