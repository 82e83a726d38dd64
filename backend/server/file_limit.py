"""The limit of open files of this process, and the number of connections that it allows."""

from __future__ import annotations

import contextlib

MAX_CONNECTIONS = 256
"""Most connections to each of control and bulk."""
WANTED = 8192
_OTHERS = 384
"""Descriptors left for files, workers and the database."""
_EACH = 3
"""Descriptors per connection: one to the client, and both ends of the connection to the ROUTER socket."""


def raise_file_limit() -> int:
    """Raise the limit of open files as far as permitted; return the connections that each socket can have.

    Workers inherit the limit.
    """
    try:
        import resource
    except ImportError:  # Windows does not count sockets as files
        return MAX_CONNECTIONS

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # macOS may refuse what its hard limit allows; the soft limit then stays.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(8, min(MAX_CONNECTIONS, (soft - _OTHERS) // (2 * _EACH)))
