"""The front: a proxy between the network and the server's sockets that limits the memory that peers can use.

libzmq limits the messages of a peer and the length of a frame, but not the frames of a message, the connections, or the
memory of all of them. So clients connect to the front, a thread that forwards their bytes to the ROUTER sockets over
loopback and counts them. It decrypts nothing: CURVE is end to end.

- A connection is not forwarded before its greeting, and is closed if that takes longer than :data:`GREETING_TIME`, or
  its first message longer than :data:`FIRST_MESSAGE_TIME`.
- A peer may have :data:`protocol.zmtp_frames.CREDIT` bytes in flight, which the server has not received as whole
  messages. At the limit, nothing more is read from it, and after :data:`STALLED` seconds it is closed. The limit of all
  peers is :data:`TOTAL`.
- At most :data:`UNSIGNED` connections without a greeting are open, and a limited number with one. If there are too many
  of the latter, a connection of the host with the most is closed: one that has sent no message, or the one without a
  message for the longest time.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import selectors
import socket
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from itertools import count

from backend.server.wakeup import Wakeup
from protocol.address import Address
from protocol.errors import BadFrames
from protocol.raw_sockets import NOTHING, forward, keep_open, receive, send
from protocol.zmtp_frames import GREETING, LONG_READ, SIGNATURE, InFlight

TOTAL = 256 << 20
"""Most bytes of all peers in flight."""
UNSIGNED = 64
"""Most connections to each address without a greeting; beyond that, the oldest is closed."""
GREETING_TIME = 5.0
FIRST_MESSAGE_TIME = 10.0
"""Longest time in seconds from the beginning of a connection until its first message is received."""
STALLED = 5.0
"""Longest time without a whole message while the credit is used up, in seconds."""
DRAIN = 0.5
"""Longest time for which the last messages of the server are forwarded when it ends, in seconds."""
INNER_HOST = "127.0.0.1"

_BACKLOG = 512
_ACCEPTS = 32
"""Most connections accepted in one turn."""
_SMALL = 64 << 10
"""Bytes in flight that are not counted."""
_INNER_READ = 256 << 10
_PERIOD = 0.25
"""Interval at which the time limits of connections are checked, in seconds."""
_READABLE, _WRITABLE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Front:
    """Listens, counts and forwards, in a separate thread from :meth:`start` on.

    Args:
        limit: most connections to each listening address.
        failed: called from the thread if an error ends it.
    """

    def __init__(self, limit: int, failed: Callable[[], object]) -> None:
        self._limit = limit
        self._failed = failed
        self._listeners: list[_Listener] = []
        self._connections: dict[tuple[int, int], _Connection] = {}
        """The forwarded connections, by the port of the ROUTER socket and the local port."""
        self._selector = selectors.DefaultSelector()
        self._received: deque[tuple[tuple[int, int], int, str]] = deque()
        self._unwanted: deque[frozenset[str]] = deque()
        self._to_end: deque[int] = deque()
        self._numbers = count(1)
        self._open: set[int] = set()
        self._hungry = False
        self._under_way = 0
        self._scratch = memoryview(bytearray(LONG_READ))
        self._wake = Wakeup()
        self._selector.register(self._wake.socket, _READABLE, lambda _: self._wake.clear())
        self._looked_at = time.monotonic()
        self._accept_at = 0.0
        self._ending: float | None = None
        self._thread: threading.Thread | None = None

    # Called by the server

    def listen(self, address: Address, inner: int) -> Address:
        """Listen at ``address`` for the ROUTER socket at port ``inner`` of :data:`INNER_HOST`; return the address.

        Call it before :meth:`start`.

        Raises:
            OSError: if the address cannot be used.
        """
        family = socket.AF_INET6 if address.is_v6 else socket.AF_INET
        outer = socket.socket(family, socket.SOCK_STREAM)
        try:
            if sys.platform != "win32":
                # On Windows it would let another program use the same port.
                outer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if address.is_v6:
                outer.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            outer.bind((address.host, address.port))
            outer.listen(_BACKLOG)
            outer.setblocking(False)
        except OSError:
            outer.close()
            raise
        self._listeners.append(_Listener(outer, inner))
        return address.at(outer.getsockname()[1])

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="front", daemon=True)
        self._thread.start()

    def received(self, inner: int, port: int, cost: int, key: str) -> None:
        """Note that the server has received a whole message; may be called from any thread.

        Args:
            inner, port: ports of the connection, as in :meth:`number`.
            cost: of the message, as :class:`protocol.zmtp_frames.FrameCounter` counts.
            key: of the client; "" if the connection is not encrypted.
        """
        self._received.append(((inner, port), cost, key))
        if self._hungry:
            self._wake()

    def drop(self, keys: frozenset[str]) -> None:
        """Close the connections of clients with these keys; may be called from any thread."""
        self._unwanted.append(keys)
        self._wake()

    def end(self, number: int) -> None:
        """Close the connection of that number; may be called from any thread."""
        self._to_end.append(number)
        self._wake()

    def number(self, inner: int, port: int) -> int:
        """Return the unique number of a connection, 0 if it has ended; may be called from any thread.

        Args:
            inner: port of the ROUTER socket.
            port: local port of the connection to it.
        """
        connection = self._connections.get((inner, port))
        return 0 if connection is None else connection.number

    def alive(self, number: int) -> bool:
        """Return whether the connection of that number is open; may be called from any thread."""
        return number in self._open

    def made(self, inner: int, port: int) -> bool:
        """Return whether the front made this connection to a ROUTER socket; may be called from any thread."""
        return (inner, port) in self._connections

    def close(self) -> None:
        """Forward what is left and end the thread. Call it once the ROUTER sockets are closed."""
        self._ending = time.monotonic() + DRAIN
        self._wake()
        if self._thread is not None:
            self._thread.join()
        for listener in self._listeners:
            for connection in listener.connections():
                self._close(connection)
            listener.socket.close()
        self._selector.close()
        self._wake.close()

    # The thread

    def _run(self) -> None:
        whole = False
        try:
            self._accept_again()
            while self._ending is None or (self._connections and time.monotonic() < self._ending):
                for key, mask in self._selector.select(_PERIOD):
                    key.data(mask)
                self._hungry = False
                self._take_received()
                self._look_at_times()
                self._hungry = True
                self._take_received()
                self._close_unwanted()
            whole = True
        finally:
            if not whole:
                self._failed()

    def _accept_again(self) -> None:
        self._accept_at = 0.0
        for listener in self._listeners:
            self._selector.register(listener.socket, _READABLE, partial(self._accept, listener))

    def _accept(self, listener: _Listener, _: int) -> None:
        for _ in range(_ACCEPTS):
            try:
                outer, where = listener.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._pause_accepting()
                    return
                continue  # it has disconnected already
            connection = _Connection(listener, outer, _host(where[0]), next(self._numbers))
            self._open.add(connection.number)
            listener.unsigned[connection] = None
            try:
                outer.setblocking(False)
                keep_open(outer)
            except OSError:
                self._close(connection)
                continue
            # Most clients send their greeting with the connection, so read it before counting those without one.
            self._outer_ready(connection, _READABLE)
            if len(listener.unsigned) > UNSIGNED:
                self._close(next(iter(listener.unsigned)))

    def _pause_accepting(self) -> None:
        """Leave new connections to the system until a file descriptor is free."""
        self._accept_at = time.monotonic() + _PERIOD
        for listener in self._listeners:
            with contextlib.suppress(KeyError):
                self._selector.unregister(listener.socket)

    def _outer_ready(self, connection: _Connection, mask: int) -> None:
        try:
            if mask & _WRITABLE and not connection.closed:
                connection.to_outer = send(connection.outer, connection.to_outer)
            if mask & _READABLE and not connection.closed:
                self._read_outer(connection)
            self._settle(connection)
        except (OSError, BadFrames):
            self._close(connection)

    def _inner_ready(self, connection: _Connection, mask: int) -> None:
        inner = connection.inner
        if connection.closed or inner is None:
            return
        try:
            if mask & _WRITABLE:
                connection.to_inner = send(inner, connection.to_inner)
            if mask & _READABLE and not connection.to_outer and not connection.inner_ended:
                got, connection.to_outer = forward(inner, connection.outer, self._scratch[:_INNER_READ])
                connection.inner_ended = got == 0
                if got and connection.answered < GREETING:
                    connection.answered += got
                    connection.pass_greeting()
            self._settle(connection)
        except OSError:
            self._close(connection)

    def _read_outer(self, connection: _Connection) -> None:
        in_flight = connection.in_flight
        if connection.greeting is not None:
            got = self._read_greeting(connection, connection.greeting)
        else:
            assert connection.inner is not None
            buffer = self._scratch[: in_flight.readable()]
            got, connection.to_inner = forward(connection.outer, connection.inner, buffer, in_flight.frames.feed)
        connection.outer_ended = got == 0
        if got:
            self._count(connection)
            while self._under_way > TOTAL:
                self._close(min(self._connections.values(), key=_Connection.worth))

    def _read_greeting(self, connection: _Connection, greeting: bytearray) -> int | None:
        """Read more of a client's greeting; connect to the ROUTER socket once it is signed."""
        got = receive(connection.outer, self._scratch[: GREETING - len(greeting)])
        if got:
            frames, data = connection.in_flight.frames, self._scratch[:got]
            frames.feed(data)
            greeting += data
            if frames.signed and connection.inner is None:
                while len(connection.listener.greeted) >= self._limit:
                    self._close(connection.listener.least_useful())
                self._connect(connection)
            connection.pass_greeting()
        return got

    def _connect(self, connection: _Connection) -> None:
        """Connect to the ROUTER socket for a peer that has sent its greeting."""
        inner = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.inner = inner
        connection.listener.note_greeting(connection)
        # The server closes connections that the front did not make, so the port is noted before it sees the connection.
        inner.bind((INNER_HOST, 0))
        connection.key = (connection.listener.inner, inner.getsockname()[1])
        self._connections[connection.key] = connection
        inner.setblocking(False)
        inner.connect_ex((INNER_HOST, connection.listener.inner))
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _settle(self, connection: _Connection) -> None:
        """Set which events a connection waits for, or close it if one of its sides has ended."""
        if connection.closed:
            return
        waits_for_inner = connection.inner is not None and len(connection.to_inner) > 0
        if (connection.outer_ended and not waits_for_inner) or (connection.inner_ended and not connection.to_outer):
            self._close(connection)
            return
        full = connection.in_flight.full or len(connection.greeting or b"") >= GREETING
        read = not (waits_for_inner or full or connection.outer_ended)
        self._watch(
            connection.outer,
            (_READABLE if read else 0) | (_WRITABLE if connection.to_outer else 0),
            partial(self._outer_ready, connection),
        )
        if connection.inner is not None:
            self._watch(
                connection.inner,
                (0 if connection.to_outer or connection.inner_ended else _READABLE)
                | (_WRITABLE if waits_for_inner else 0),
                partial(self._inner_ready, connection),
            )

    def _watch(self, one: socket.socket, mask: int, ready: Callable[[int], None]) -> None:
        known = self._selector.get_map().get(one.fileno())
        if known is None:
            if mask:
                self._selector.register(one, mask, ready)
        elif not mask:
            self._selector.unregister(one)
        elif known.events != mask:
            self._selector.modify(one, mask, ready)

    def _close(self, connection: _Connection) -> None:
        if connection.closed:
            return
        connection.closed = True
        self._open.discard(connection.number)
        for one in (connection.outer, connection.inner):
            if one is not None:
                self._watch(one, 0, _nobody)
                one.close()
        connection.listener.remove(connection)
        if connection.key is not None:
            self._connections.pop(connection.key, None)
        self._under_way -= connection.counted

    # Bytes in flight

    def _take_received(self) -> None:
        while self._received:
            place, cost, key = self._received.popleft()
            connection = self._connections.get(place)
            if connection is not None:
                connection.client_key = key
                connection.take(cost)
                self._count(connection)
                self._settle(connection)

    def _close_unwanted(self) -> None:
        while self._unwanted:
            keys = self._unwanted.popleft()
            for connection in [each for each in self._connections.values() if each.client_key in keys]:
                self._close(connection)
        while self._to_end:
            number = self._to_end.popleft()
            for connection in [each for each in self._connections.values() if each.number == number]:
                self._close(connection)

    def _count(self, connection: _Connection) -> None:
        under_way = connection.in_flight.bytes
        if connection.counted <= _SMALL:
            connection.waits_since = time.monotonic()
        self._under_way += under_way - connection.counted
        connection.counted = under_way

    def _look_at_times(self) -> None:
        now = time.monotonic()
        passed = now - self._looked_at
        if passed < _PERIOD:
            return
        self._looked_at = now
        if self._accept_at and now >= self._accept_at:
            self._accept_again()
        for listener in self._listeners:
            for connection in listener.connections():
                if connection.inner is None:
                    late = now - connection.opened > GREETING_TIME
                else:
                    silent = not connection.talks and now - connection.opened > FIRST_MESSAGE_TIME
                    late = silent or (connection.in_flight.full and now - connection.waits_since > STALLED)
                if late:
                    self._close(connection)
                else:
                    connection.in_flight.forgive(passed)
                    self._count(connection)


class _Listener:
    """An address that clients connect to, the port of its ROUTER socket, and its connections.

    Attributes:
        unsigned: the connections without a greeting, the oldest first.
        greeted: those with one.
    """

    def __init__(self, outer: socket.socket, inner: int) -> None:
        self.socket = outer
        self.inner = inner
        self.unsigned: dict[_Connection, None] = {}
        self.greeted: dict[_Connection, None] = {}

    def connections(self) -> list[_Connection]:
        return [*self.unsigned, *self.greeted]

    def note_greeting(self, connection: _Connection) -> None:
        del self.unsigned[connection]
        self.greeted[connection] = None

    def remove(self, connection: _Connection) -> None:
        self.unsigned.pop(connection, None)
        self.greeted.pop(connection, None)

    def least_useful(self) -> _Connection:
        """Return the connection to close if too many have sent a greeting."""
        held = Counter(each.host for each in self.greeted)
        most = max(held.values())
        return min(
            (each for each in self.greeted if held[each.host] == most), key=lambda each: (each.talks, each.heard)
        )


class _Connection:
    """One client's connection, and the one to a ROUTER socket that is made after its greeting.

    Attributes:
        host: the client's address, or its network, see :func:`_host`.
        number: see :meth:`Front.number`.
        client_key: the client's key, as of its last message; "" before the first, and without encryption.
        in_flight: counts what it sends.
        key: as in ``Front._connections``; None until ``inner`` is set.
        talks: whether the server has received a message from it.
        heard: time at which the server last received a message from it.
        waits_since: time at which it last had nothing in flight, or a message of it was received.
        to_inner, to_outer: bytes that one side could not accept yet.
        greeting: the part of its greeting that the client has sent; None once all of it is forwarded.
        answered: received bytes of the server's greeting.
        counted: its bytes in flight, as they are counted in the total.
    """

    def __init__(self, listener: _Listener, outer: socket.socket, host: str, number: int) -> None:
        self.listener = listener
        self.outer = outer
        self.host = host
        self.number = number
        self.client_key = ""
        self.in_flight = InFlight()
        self.inner: socket.socket | None = None
        self.key: tuple[int, int] | None = None
        self.opened = self.heard = self.waits_since = time.monotonic()
        self.to_inner = self.to_outer = NOTHING
        self.greeting: bytearray | None = bytearray()
        self.answered = 0
        self.outer_ended = self.inner_ended = self.closed = self.talks = False
        self.counted = 0
        self._passed = 0

    def pass_greeting(self) -> None:
        """Forward the part of the client's greeting that makes the server send its own, and later the rest.

        libzmq closes the connection as soon as it reads that the client's kind of encryption is another one. A client
        learns the reason only if it has received the server's whole greeting before.
        """
        if self.greeting is None or self.inner is None:
            return
        until = len(self.greeting) if self.answered >= GREETING else SIGNATURE + 1
        rest = bytes(self.to_inner) + bytes(self.greeting[self._passed : until])
        self._passed = max(self._passed, min(until, len(self.greeting)))
        self.to_inner = send(self.inner, memoryview(rest)) if rest else NOTHING
        if self._passed == GREETING:
            self.greeting = None

    def take(self, cost: int) -> None:
        """Note that the server has received a message of this cost."""
        self.heard = self.waits_since = time.monotonic()
        self.talks = True
        self.in_flight.take(cost)

    def worth(self) -> float:
        """Return a smaller number for connections to close first; those with little in flight are closed last."""
        return self.waits_since if self.counted > _SMALL else float("inf")


def _host(text: str) -> str:
    """Return the network that one machine can choose its addresses from: /64 of IPv6, and the whole loopback network.

    Other addresses of IPv4 are returned unchanged.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback:
        return "loopback"
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _nobody(_: int) -> None:
    pass
