"""The child's side of the pipes of :class:`backend.server.child_process.ChildProcess`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import BinaryIO


def take_stdout() -> BinaryIO:
    """Return standard output, and have what libraries print go to standard error, which is the log."""
    channel = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return channel


def listen(take: Callable[[bytes], object] = lambda line: None) -> None:
    """Call ``take`` with each line of standard input, from a thread; end this process when the input ends.

    The input ends with the server, however that happens: then nobody takes what this process would still do.
    """
    threading.Thread(target=_listen, args=(take,), daemon=True).start()


def _listen(take: Callable[[bytes], object]) -> None:
    # Unbuffered: a thread that waits inside the buffer of sys.stdin aborts the interpreter at its exit.
    with open(0, "rb", buffering=0, closefd=False) as lines:
        for line in lines:
            take(line)
    os._exit(1)
