"""How many files this process may have open, and how many connections that allows."""

from __future__ import annotations

import contextlib

MAX_CONNECTIONS = 256
"""Connections that control and bulk may each have."""
WANTED = 8192
_OTHERS = 384
"""Descriptors left for files, workers and the database."""
_EACH = 3
"""Descriptors that a connection takes: one of the client, and both ends of the one to the ROUTER socket."""


def raise_file_limit() -> int:
    """Let this process open as many files as it needs, where it may; return the connections that each socket can have.

    Workers inherit the limit.
    """
    try:
        import resource
    except ImportError:  # Windows, where sockets are not counted with files
        return MAX_CONNECTIONS

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # macOS may refuse what its hard limit allows; the soft limit as it is will do.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(8, min(MAX_CONNECTIONS, (soft - _OTHERS) // (2 * _EACH)))
