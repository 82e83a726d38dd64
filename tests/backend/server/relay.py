"""A TCP relay between a client and a server, which records what the client sends and can change it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator


class Relay:
    """Relays connections to a port of this machine.

    Attributes:
        address: where clients connect.
        sent: what the client of the last connection has sent, piece by piece.
        change: makes of a piece, and the number of bytes that the client sent on that connection before it, what is
            passed on in its place.
    """

    def __init__(self, port: int) -> None:
        self.sent: list[bytes] = []
        self.change: Callable[[bytes, int], bytes] = lambda piece, before: piece
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._to_server: socket.socket | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def inject(self, data: bytes) -> None:
        """Send bytes to the server as if the client of the last connection had."""
        assert self._to_server is not None
        self._to_server.sendall(data)

    def close(self) -> None:
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                self._open += [client, server]
                self._to_server = server
                self.sent = []
                threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, of_client: bool) -> None:
        before = 0
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 20):
                length = len(piece)
                if of_client:
                    self.sent.append(piece)
                    piece = self.change(piece, before)
                target.sendall(piece)
                before += length
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def relay(address: str) -> Iterator[Relay]:
    """Relay to the server at ``tcp://127.0.0.1:PORT``."""
    made = Relay(int(address.rpartition(":")[2]))
    try:
        yield made
    finally:
        made.close()
