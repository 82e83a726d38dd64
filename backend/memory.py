"""How much memory there is, and how much this process has needed."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

from protocol.errors import Unavailable

try:
    import resource
except ImportError:  # Windows has no such module.
    resource = None

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def peak_host_mib() -> int | None:
    """Return the largest resident size so far in MiB, or None where the system does not tell."""
    if resource is None:
        peak = getattr(psutil.Process().memory_info(), "peak_wset", None)
        return None if peak is None else round(peak / 2**20)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes where Linux counts KiB.
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def free_host() -> int | None:
    """Return the free bytes of host memory, or None where the system does not tell.

    The limit of a container counts where it is nearer than that of the machine.
    """
    if sys.platform != "linux":
        return psutil.virtual_memory().available
    try:
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines() if ":" in line)
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    try:
        limit, used = (int((CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no limit is the word "max"
        return free
    return min(free, max(0, limit - used))


def require(wanted: int, free: int | None, what: str, remedy: str) -> None:
    """Refuse what would not fit.

    Args:
        wanted, free: bytes; a free of None refuses nothing.
        what: the beginning of a sentence that goes on "needs about 12.0 GiB of memory".

    Raises:
        Unavailable: if more is wanted than is free.
    """
    if free is not None and wanted > free:
        raise Unavailable(f"{what} needs about {gib(wanted)} of memory, but only {gib(free)} are free.", remedy)


def gib(count: int) -> str:
    """Return a number of bytes as people say it."""
    return f"{count / 2**30:.1f} GiB"
