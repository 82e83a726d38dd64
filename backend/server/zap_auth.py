"""Authentication: libzmq asks about each client of an encrypted socket, and only paired clients are accepted.

libzmq asks over a socket inside the process (ZAP, https://rfc.zeromq.org/spec/27), so the server's loop answers without
a thread. Sockets require an answer (``ZAP_ENFORCE_DOMAIN``), so without an authenticator every client is rejected.
"""

from __future__ import annotations

import hmac

import zmq
from zmq.utils import z85

from backend.server.keys import Keys

DOMAIN = b"splatlift"
_PLACE = "inproc://zeromq.zap.01"
_VERSION = b"1.0"


class ZapAuthenticator:
    """Authenticates clients for all sockets of a context; must be created before they are bound.

    Args:
        context: the server's own.
        keys: the server's.
    """

    def __init__(self, context: zmq.Context, keys: Keys) -> None:
        self._paired = z85.decode(zmq.curve_public(keys.client.encode()))
        self.socket = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(_PLACE)

    def answer(self) -> None:
        """Answer all pending requests."""
        while self.socket.poll(0):
            version, number, domain, _, _, mechanism, *credentials = self.socket.recv_multipart()
            known = (version, domain, mechanism) == (_VERSION, DOMAIN, b"CURVE") and len(credentials) == 1
            if known and hmac.compare_digest(credentials[0], self._paired):
                verdict = [b"200", b"OK", b"paired", b""]
            else:
                verdict = [b"400", b"not paired", b"", b""]
            self.socket.send_multipart([_VERSION, number, *verdict])

    def close(self) -> None:
        self.socket.close(0)
