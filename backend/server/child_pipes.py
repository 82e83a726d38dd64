"""The child's end of the pipes of :class:`backend.server.child_process.ChildProcess`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import BinaryIO

_READ = 64 << 10


def take_stdout() -> BinaryIO:
    """Return standard output, and redirect prints of libraries to standard error, which is the log."""
    channel = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return channel


def listen(take: Callable[[bytes], object] = lambda line: None) -> None:
    """Call ``take`` with each line of standard input, without its newline, from a thread.

    The process exits at the end of the input. The input ends when the server exits or is killed, and no one could
    receive further answers then.
    """
    threading.Thread(target=_listen, args=(take,), daemon=True).start()


def _listen(take: Callable[[bytes], object]) -> None:
    # Read without a buffer: a thread that blocks inside the buffer of sys.stdin aborts the interpreter at exit.
    rest = b""
    while data := os.read(0, _READ):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            take(line)
    os._exit(1)
