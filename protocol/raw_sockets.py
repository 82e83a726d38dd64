"""Plain sockets next to those of libzmq; both sides forward what libzmq sends and receives through them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

NOTHING = memoryview(b"")


def send(one: socket.socket, data: memoryview) -> memoryview:
    """Send without blocking; return the rest."""
    try:
        return data[one.send(data) :]
    except BlockingIOError:
        return data


def forward(
    source: socket.socket,
    target: socket.socket,
    buffer: memoryview,
    check: Callable[[memoryview], object] = lambda data: None,
) -> tuple[int | None, memoryview]:
    """Read once from ``source`` without blocking, and send what was read to ``target``.

    Args:
        buffer: to read into.
        check: called with the bytes before they are sent.

    Returns:
        What :func:`receive` returns, and a copy of what ``target`` did not accept.
    """
    got = receive(source, buffer)
    if not got:
        return got, NOTHING
    check(buffer[:got])
    rest = send(target, buffer[:got])
    return got, memoryview(bytes(rest)) if rest else NOTHING


def keep_open(one: socket.socket) -> None:
    """Have the system send short messages at once and notice within 90 s that a peer has vanished."""
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        for option, value in ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3)):
            one.setsockopt(socket.IPPROTO_TCP, option, value)


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
