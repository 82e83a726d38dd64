"""Standard output of a process that the server started, kept for the server alone."""

from __future__ import annotations

import os
from typing import BinaryIO


def take_stdout() -> BinaryIO:
    """Return standard output, and have what libraries print go to standard error, which is the log."""
    channel = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return channel
