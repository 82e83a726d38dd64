"""How much memory this process has needed."""

from __future__ import annotations

import sys

try:
    import resource
except ImportError:  # Windows has no such module.
    resource = None


def peak_host_mib() -> int | None:
    """Return the largest resident size so far in MiB, or None where the system does not tell."""
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes where Linux counts KiB.
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))
