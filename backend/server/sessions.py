"""The connected clients: one session for each connection that said hello, until it is silent for too long.

The server's loop opens and drops sessions; the file loop attaches and detaches their bulk sockets.
"""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator

from protocol.errors import Refused
from protocol.messages import Progress

LIFETIME = 30.0
"""Seconds of silence after which a session is removed."""
MAX_SESSIONS = 256
CLIENT_SESSIONS = 64
"""Default limit of the sessions of one client."""
GIVES_WAY = 5.0
"""Seconds of silence after which a new session of the same client may replace one. A client sends a message every two
seconds."""

_SAY_HELLO = "Reconnect: send Hello on the control socket, then Attach on the bulk socket."


class Session:
    """A connected client.

    Attributes:
        client: its name; jobs and files belong to the client.
        key: its public key; "" if the connection is not encrypted.
        token: presented by the client on bulk.
        control, bulk: the routing ids of its two sockets; bulk is None until it attaches.
        connection, bulk_connection: their numbers, see :class:`backend.server.router_socket.Received`.
        program: the name and version that the client sent.
        seen: time of its last message, on the caller's clock.
        following: the jobs whose progress it receives.
        features: optional protocol features that it supports.
        unpictured: the jobs whose latest preview was not sent to it yet.
        unsent: per job, the latest progress that was not sent to it yet; it replaces earlier progress.
        local_token: the token that its client has proved to know, on a server without encryption.
    """

    def __init__(self, client: str, key: str, control: bytes, connection: int, now: float) -> None:
        self.client = client
        self.key = key
        self.token = secrets.token_hex(16)
        self.control = control
        self.bulk: bytes | None = None
        self.program = ""
        self.seen = now
        self.following: set[str] = set()
        self.features: frozenset[str] = frozenset()
        self.unpictured: set[str] = set()
        self.unsent: dict[str, Progress] = {}
        self.connection = connection
        self.bulk_connection = 0
        self.local_token = ""


class Sessions:
    """All sessions. Times are seconds of any monotonic clock.

    Args:
        lifetime: seconds of silence after which a session is removed.
        each: limit of the sessions of one client.

    Attributes:
        alive: returns whether the connection of a number is open.
        end: closes the connection of a number.
    """

    def __init__(self, lifetime: float = LIFETIME, each: int = CLIENT_SESSIONS) -> None:
        self.lifetime = lifetime
        self.each = each
        self.alive: Callable[[int], bool] = lambda connection: True
        self.end: Callable[[int], object] = lambda connection: None
        self._by_token: dict[str, Session] = {}
        self._by_control: dict[bytes, Session] = {}
        self._by_bulk: dict[bytes, Session] = {}
        self._lock = threading.RLock()

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_token.values()))

    def __len__(self) -> int:
        return len(self._by_token)

    def open(self, client: str, key: str, control: bytes, connection: int, now: float) -> Session:
        """Open a session for the peer ``control``. The caller has removed its earlier one, and :meth:`in_the_way`."""
        session = Session(client, key, control, connection, now)
        with self._lock:
            self._by_token[session.token] = session
            self._by_control[control] = session
        return session

    def in_the_way(self, client: str, now: float) -> Session | None:
        """Return the session to drop before a client opens another one, or None.

        If the client has too many, it is one whose connection has ended, or else the one with the longest silence. If
        all clients together have too many, it is one of the client with the most.

        Raises:
            Refused: if the client has too many, and all of them are active.
        """
        own = [session for session in self if session.client == client]
        if len(own) >= self.each:
            oldest = min(own, key=self._worth)
            if self.alive(oldest.connection) and now - oldest.seen < GIVES_WAY:
                raise Refused(
                    f"The client {client} has {len(own)} connections, which is the limit.",
                    "Close one of them, or start the server with a larger --client-sessions.",
                )
            return oldest
        if len(self) < MAX_SESSIONS:
            return None
        ((most, _),) = Counter(session.client for session in self).most_common(1)
        return min((each for each in self if each.client == most), key=self._worth)

    def _worth(self, session: Session) -> tuple[bool, float]:
        """Return a smaller value for sessions to drop first."""
        return self.alive(session.connection), session.seen

    def of_token(self, token: str) -> Session | None:
        return self._by_token.get(token)

    def of_keys(self, keys: frozenset[str]) -> list[Session]:
        return [session for session in self if session.key in keys]

    def on_control(self, peer: bytes, connection: int | None = None) -> Session | None:
        """Return the session of a peer; if ``connection`` is given, only if the session has that connection."""
        session = self._by_control.get(peer)
        return session if session is not None and connection in (None, session.connection) else None

    def on_bulk(self, peer: bytes, connection: int | None = None) -> Session | None:
        """As :meth:`on_control`, on bulk."""
        session = self._by_bulk.get(peer)
        return session if session is not None and connection in (None, session.bulk_connection) else None

    def require(self, session: Session | None, now: float) -> Session:
        """Return ``session`` after updating its time of last activity.

        Raises:
            Refused: if the peer has no session.
        """
        if session is None:
            raise Refused("The connection is unknown or has expired.", _SAY_HELLO)
        session.seen = now
        return session

    def attach(self, token: str, key: str, bulk: bytes, connection: int, now: float) -> Session:
        """Assign the bulk peer ``bulk`` to the session ``token``, replacing its earlier one.

        Raises:
            Refused: if there is no such session, or it belongs to another key.
        """
        with self._lock:
            session = self.of_token(token)
            if session is None or session.key != key:
                raise Refused("The connection is unknown or has expired.", _SAY_HELLO)
            session.seen = now
            for old in (self.on_bulk(bulk), session):
                if old is not None:
                    self.detach(old)
            session.bulk, session.bulk_connection = bulk, connection
            self._by_bulk[bulk] = session
            return session

    def detach(self, session: Session) -> None:
        """Remove the session's bulk peer."""
        with self._lock:
            if session.bulk is not None:
                del self._by_bulk[session.bulk]
                session.bulk = None

    def drop(self, session: Session) -> None:
        with self._lock:
            self.detach(session)
            del self._by_token[session.token]
            del self._by_control[session.control]

    def silent(self, now: float) -> list[Session]:
        """Return the sessions that were silent for a lifetime."""
        return [session for session in self if now - session.seen > self.lifetime]

    def followers(self, job: str) -> list[Session]:
        return [session for session in self if job in session.following]
