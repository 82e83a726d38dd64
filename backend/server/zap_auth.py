"""Authentication: libzmq asks about each client of an encrypted socket, and only known keys are accepted.

The requests arrive at a socket inside the process (ZAP, https://rfc.zeromq.org/spec/27), so the server's loop answers
without a thread. Sockets require an answer (``ZAP_ENFORCE_DOMAIN``), so without an authenticator every client is
rejected. The answer gives the key as the user id, and libzmq adds that to each message of the connection.
"""

from __future__ import annotations

import zmq
from zmq.utils import z85

from backend.server.known_keys import KnownKeys

DOMAIN = b"splatlift"
USER = "User-Id"
"""The property of a received frame that contains the key in Z85."""
_PLACE = "inproc://zeromq.zap.01"
_VERSION = b"1.0"
_KEY_BYTES = 32


class ZapAuthenticator:
    """Authenticates clients for all sockets of a context; must be created before they are bound.

    Args:
        context: of the server.
        known: the keys of clients that may connect.
    """

    def __init__(self, context: zmq.Context, known: KnownKeys) -> None:
        self._known = known
        self.socket = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(_PLACE)

    def answer(self) -> None:
        """Answer all pending requests."""
        while self.socket.poll(0):
            version, number, domain, _, _, mechanism, *credentials = self.socket.recv_multipart()
            asked = (version, domain, mechanism) == (_VERSION, DOMAIN, b"CURVE") and len(credentials) == 1
            key = z85.encode(credentials[0]).decode() if asked and len(credentials[0]) == _KEY_BYTES else ""
            if self._known.name(key) is not None:
                verdict = [b"200", b"OK", key.encode(), b""]
            else:
                verdict = [b"400", b"not paired", b"", b""]
            self.socket.send_multipart([_VERSION, number, *verdict])

    def close(self) -> None:
        self.socket.close(0)
