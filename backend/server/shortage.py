"""System errors that pass, such as a full disk: the server waits, and jobs do not fail."""

from __future__ import annotations

import errno

_PASSES = frozenset(
    getattr(errno, name)
    for name in ("EMFILE", "ENFILE", "ENOSPC", "EDQUOT", "ENOMEM", "ENOBUFS", "EAGAIN")
    if hasattr(errno, name)  # Windows has no EDQUOT
)


def shortage(error: BaseException | None) -> str | None:
    """Return what the machine lacks, if that caused the error, or else None.

    The causes of an error are checked too.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _PASSES:
            return error.strerror or str(error)
        error = error.__cause__
    return None
