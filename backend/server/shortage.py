"""Which errors of the system pass by themselves: the server waits for their end, and no job fails by them."""

from __future__ import annotations

import errno

_PASSES = frozenset(
    getattr(errno, name)
    for name in ("EMFILE", "ENFILE", "ENOSPC", "EDQUOT", "ENOMEM", "ENOBUFS", "EAGAIN")
    if hasattr(errno, name)  # Windows has no EDQUOT
)


def shortage(error: BaseException | None) -> str | None:
    """Return what the machine is short of, if that is why something failed, and None otherwise.

    An error that another one caused counts as that one.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _PASSES:
            return error.strerror or str(error)
        error = error.__cause__
    return None
