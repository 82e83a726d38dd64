"""Plain sockets next to those of libzmq; both sides forward what libzmq sends and receives through them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

NOTHING = memoryview(b"")


def send(one: socket.socket, data: memoryview) -> memoryview:
    """Send without blocking; return the rest."""
    try:
        return data[one.send(data) :]
    except BlockingIOError:
        return data


def kept(rest: memoryview) -> memoryview:
    """Return a copy of ``rest``, which is in memory that the next read overwrites."""
    return memoryview(bytes(rest)) if rest else NOTHING


def receive(one: socket.socket, into: memoryview) -> int | None:
    """Read without blocking; return the number of bytes, 0 at the end, None if there are none yet."""
    try:
        return one.recv_into(into)
    except BlockingIOError:
        return None


@contextlib.contextmanager
def borrowed(number: int) -> Iterator[socket.socket]:
    """Yield a file descriptor of libzmq as a socket. It may be closed or reused; the caller suppresses OSError."""
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=number)
    try:
        yield one
    finally:
        one.detach()
