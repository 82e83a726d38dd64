"""Available memory, and the peak memory of this process."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

from protocol.errors import Unavailable

try:
    import resource
except ImportError:  # Windows does not have this module.
    resource = None

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def peak_host_mib() -> int | None:
    """Return the largest resident size so far in MiB, or None if unknown."""
    if resource is None:
        peak = getattr(psutil.Process().memory_info(), "peak_wset", None)
        return None if peak is None else round(peak / 2**20)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS reports bytes, Linux KiB.
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def free_host() -> int | None:
    """Return the available host memory in bytes, or None if unknown.

    The limit of a container is respected.
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
    except (OSError, ValueError):  # no limit is written as "max"
        return free
    return min(free, max(0, limit - used))


def require(wanted: int, free: int | None, what: str, remedy: str) -> None:
    """Check that enough memory is available.

    Args:
        wanted, free: bytes; None for ``free`` disables the check.
        what: the beginning of a sentence that continues "needs about 12.0 GiB of memory".

    Raises:
        Unavailable: if more is wanted than is free.
    """
    if free is not None and wanted > free:
        raise Unavailable(f"{what} needs about {gib(wanted)} of memory, but only {gib(free)} are free.", remedy)


def gib(count: int) -> str:
    """Return a number of bytes as text in GiB."""
    return f"{count / 2**30:.1f} GiB"
