"""Wakes a loop from another thread or a signal handler, by a pair of sockets, which all systems can poll."""

from __future__ import annotations

import socket


class Wakeup:
    """A call of the object makes :attr:`socket` readable, until :meth:`clear`."""

    def __init__(self) -> None:
        self.socket, self._other = socket.socketpair()
        self.socket.setblocking(False)
        self._other.setblocking(False)

    def __call__(self) -> None:
        try:
            self._other.send(b"x")
        except OSError:
            return  # full, so the loop is awake already, or closed

    def clear(self) -> None:
        try:
            while self.socket.recv(4096):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        self.socket.close()
        self._other.close()
