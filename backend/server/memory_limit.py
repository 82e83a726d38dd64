"""The memory that a worker may use: it watches itself, and ends with a sentence before the machine is full.

A limit of the system on address space (RLIMIT_AS) does not serve: CUDA reserves far more addresses than it uses.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import psutil

from backend.memory import CGROUP

SHARE = 0.9
"""The share of the machine's memory, or of its container's, that a worker may use unless told otherwise."""
LOOK_EVERY = 0.1
"""Seconds between two looks: memory fills by some hundred megabytes meanwhile."""
CHILDREN_EVERY = 100
"""Looks from one to the next at the processes that the worker has started: finding them takes some milliseconds."""


def usual_limit() -> int:
    """Return the bytes that a worker may use on this machine unless told otherwise."""
    total = psutil.virtual_memory().total
    with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit
        total = min(total, int((CGROUP / "memory.max").read_text()))
    return int(SHARE * total)


def watch(limit: int, exceeded: Callable[[], object]) -> None:
    """Call ``exceeded``, from a thread, once this process and those it has started use more than ``limit`` bytes."""
    threading.Thread(target=_watch, args=(limit, exceeded), daemon=True).start()


def used(process: psutil.Process) -> int:
    """Return the bytes of memory that are a process's own: files that it has mapped are not counted."""
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
