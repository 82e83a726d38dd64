"""The connected clients: one session per client that said hello, until it is silent for too long.

The server's loop opens and drops sessions; the file loop attaches and detaches their bulk sockets.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator

from protocol.errors import Refused
from protocol.messages import Progress

LIFETIME = 30.0
"""Seconds of silence after which a session is removed."""
MAX_SESSIONS = 256

_SAY_HELLO = "Reconnect: send Hello on the control socket, then Attach on the bulk socket."


class Session:
    """A client.

    Attributes:
        token: presented by the client on bulk.
        control, bulk: the routing ids of its two sockets; bulk is None until it attaches.
        client: what the client calls itself.
        seen: time of its last message, on the caller's clock.
        following: the jobs whose progress it receives.
        features: optional protocol features that it supports.
        unpictured: the jobs whose latest preview was not sent to it yet.
        unsent: per job, the latest progress that was not sent to it yet; it replaces earlier progress.
    """

    def __init__(self, control: bytes, now: float) -> None:
        self.token = secrets.token_hex(16)
        self.control = control
        self.bulk: bytes | None = None
        self.client = ""
        self.seen = now
        self.following: set[str] = set()
        self.features: frozenset[str] = frozenset()
        self.unpictured: set[str] = set()
        self.unsent: dict[str, Progress] = {}


class Sessions:
    """All sessions. Times are seconds of any monotonic clock."""

    def __init__(self, lifetime: float = LIFETIME) -> None:
        self.lifetime = lifetime
        self._by_token: dict[str, Session] = {}
        self._by_control: dict[bytes, Session] = {}
        self._by_bulk: dict[bytes, Session] = {}
        self._lock = threading.RLock()

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_token.values()))

    def __len__(self) -> int:
        return len(self._by_token)

    def open(self, control: bytes, now: float) -> Session:
        """Open a session for the peer ``control``; the caller has removed its earlier one."""
        session = Session(control, now)
        with self._lock:
            self._by_token[session.token] = session
            self._by_control[control] = session
        return session

    def surplus(self) -> Session | None:
        """Return the session to drop where there are more than :data:`MAX_SESSIONS`: that of the longest silence.

        :mod:`backend.server.front` allows no more connections, so this is one whose connection is gone.
        """
        return min(self, key=lambda session: session.seen) if len(self) > MAX_SESSIONS else None

    def of_token(self, token: str) -> Session | None:
        return self._by_token.get(token)

    def on_control(self, peer: bytes) -> Session | None:
        return self._by_control.get(peer)

    def on_bulk(self, peer: bytes) -> Session | None:
        return self._by_bulk.get(peer)

    def require(self, session: Session | None, now: float) -> Session:
        """Return ``session`` after updating its time of last activity.

        Raises:
            Refused: if the peer has no session.
        """
        if session is None:
            raise Refused("The connection is unknown or has expired.", _SAY_HELLO)
        session.seen = now
        return session

    def attach(self, token: str, bulk: bytes, now: float) -> Session:
        """Assign the bulk peer ``bulk`` to the session ``token``, replacing its earlier one.

        Raises:
            Refused: if there is no such session.
        """
        with self._lock:
            session = self.require(self.of_token(token), now)
            for old in (self.on_bulk(bulk), session):
                if old is not None:
                    self.detach(old)
            session.bulk = bulk
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
