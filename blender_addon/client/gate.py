"""The gate: forwards the bytes between a server and a socket of libzmq, and limits the memory that the server can use.

libzmq limits the length of a frame, but not the number of frames of a message, so a server could fill the memory with
one message that does not end. So libzmq connects to the gate, which connects to the server and counts what it sends, as
the server does for its clients in ``backend/server/front.py``. It decrypts nothing. It has no thread: bytes are
forwarded by :meth:`Gate.step` only.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import time
from collections.abc import Callable, Iterable, Iterator

import zmq
from zmq.utils.monitor import recv_monitor_message

from protocol.address import Address
from protocol.errors import BadFrames
from protocol.raw_sockets import NOTHING, borrowed, forward, keep_open, send
from protocol.zmtp_frames import LONG_READ, InFlight

STALLED = 5.0
"""Longest time without a whole message while the credit is used up, in seconds."""
TRY_AGAIN = 0.2
"""Seconds between attempts to connect."""
_STEP = 0.5
"""Most seconds that are counted from one step to the next, because Blender may have been busy."""


class Gate:
    """Forwards one connection at a time.

    Args:
        context: to look up the names of hosts, which blocks outside libzmq.
        address: of the server.
        clock: a monotonic clock in seconds.

    Attributes:
        inner_address: that the socket of libzmq connects to.
        fault: why the server was disconnected, if it sent a message without an end.
    """

    def __init__(self, context: zmq.Context, address: Address, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lookup = None if _is_number(address.host) else _Lookup(context, address)
        self._host = None if self._lookup else address.host
        self._port = address.port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        self._listener.setblocking(False)
        self.inner_address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.fault: BadFrames | None = None
        self._inner: socket.socket | None = None
        self._outer: socket.socket | None = None
        self._is_open = False
        """Whether the server has accepted the connection."""
        self._try_at = 0.0
        self._to_inner = self._to_outer = NOTHING
        self._outer_ended = False
        self._in_flight = InFlight()
        self._stalled = 0.0
        self._stepped = clock()
        self._scratch = memoryview(bytearray(LONG_READ))

    def step(self) -> bool:
        """Connect, or forward what there is without waiting; return whether bytes were forwarded."""
        now = self._clock()
        passed, self._stepped = min(now - self._stepped, _STEP), now
        if self._inner is None and not self._accept():
            return False
        if not self._is_open and not self._reach(now):
            return False
        self._in_flight.forgive(passed)
        try:
            # What the server sends first: after its last bytes libzmq is disconnected.
            moved = any([self._from_server(), self._to_server()])
        except (OSError, BadFrames):
            self._hang_up()
            return True
        self._check(0.0 if moved else passed)
        return moved

    def received(self, cost: int) -> None:
        """Note that libzmq has delivered a message of this cost, as :func:`protocol.zmtp_frames.cost` counts."""
        self._stalled = 0.0
        self._in_flight.take(cost)

    def waits_for(self) -> Iterator[tuple[socket.socket, int]]:
        """Yield the sockets to poll until there is something to forward, with the events of libzmq's poller."""
        if self._inner is None:
            yield self._listener, zmq.POLLIN
        elif self._outer is not None and self._is_open:
            reads = 0 if self._to_inner or self._in_flight.full or self._outer_ended else zmq.POLLIN
            for one, events in (
                (self._outer, reads | (zmq.POLLOUT if self._to_outer else 0)),
                (self._inner, (0 if self._to_outer else zmq.POLLIN) | (zmq.POLLOUT if self._to_inner else 0)),
            ):
                if events:
                    yield one, events
        elif self._outer is not None:
            yield self._outer, zmq.POLLOUT

    def flush(self, seconds: float) -> None:
        """Forward the last bytes of libzmq's socket, which was closed, for at most ``seconds``."""
        end = time.monotonic() + seconds
        while self._is_open and self._inner is not None and time.monotonic() < end:
            if not self.step():
                _poll(self.waits_for(), end - time.monotonic())

    def close(self) -> None:
        self._hang_up()
        self._listener.close()
        if self._lookup is not None:
            self._lookup.close()

    def _accept(self) -> bool:
        """Accept the connection of libzmq's socket."""
        try:
            self._inner, _ = self._listener.accept()
        except OSError:
            return False
        self._inner.setblocking(False)
        self._inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return True

    def _reach(self, now: float) -> bool:
        """Connect to the server, again and again; return whether that has succeeded."""
        if self._host is None:
            assert self._lookup is not None
            self._host = self._lookup.host()
        if self._host is None or now < self._try_at:
            return False
        if self._outer is None:
            self._outer = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET, socket.SOCK_STREAM)
            self._outer.setblocking(False)
            self._outer.connect_ex((self._host, self._port))
        if not _poll([(self._outer, zmq.POLLOUT)], 0.0):
            return False
        if self._outer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._outer.close()
            self._outer = None
            self._try_at = now + TRY_AGAIN
            return False
        keep_open(self._outer)
        self._is_open = True
        return True

    def _from_server(self) -> bool:
        assert self._inner is not None
        assert self._outer is not None
        if self._to_inner:
            before = len(self._to_inner)
            self._to_inner = send(self._inner, self._to_inner)
            if self._to_inner:
                return len(self._to_inner) < before
        if self._outer_ended:
            raise ConnectionResetError
        if self._in_flight.full:
            return False
        buffer = self._scratch[: self._in_flight.readable()]
        got, self._to_inner = forward(self._outer, self._inner, buffer, self._in_flight.frames.feed)
        self._outer_ended = got == 0
        return got is not None

    def _to_server(self) -> bool:
        assert self._inner is not None
        assert self._outer is not None
        if self._to_outer:
            before = len(self._to_outer)
            self._to_outer = send(self._outer, self._to_outer)
            if self._to_outer:
                return len(self._to_outer) < before
        got, self._to_outer = forward(self._inner, self._outer, self._scratch)
        if got == 0:
            raise ConnectionResetError
        return got is not None

    def _check(self, passed: float) -> None:
        """Disconnect a server whose message does not end."""
        self._stalled = self._stalled + passed if self._in_flight.full and not self._to_inner else 0.0
        if self._stalled > STALLED:
            self.fault = BadFrames("The server sent a message that is longer than the protocol permits.")
            self._hang_up()

    def _hang_up(self) -> None:
        """Close the connection; libzmq's socket then connects to the gate again."""
        for one in (self._inner, self._outer):
            if one is not None:
                one.close()
        self._inner = self._outer = None
        self._is_open = self._outer_ended = False
        self._to_inner = self._to_outer = NOTHING
        self._in_flight = InFlight()
        self._stalled = 0.0


class _Lookup:
    """Finds the number of a host by its name: libzmq connects to it from its own thread."""

    def __init__(self, context: zmq.Context, address: Address) -> None:
        self._socket = context.socket(zmq.STREAM)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_CONNECTED)
        self._socket.connect(str(address))

    def host(self) -> str | None:
        """Return the number of the host; None until it is known."""
        found = None
        while found is None and not self._monitor.closed and self._monitor.poll(0):
            number = recv_monitor_message(self._monitor)["value"]
            with contextlib.suppress(OSError), borrowed(number) as one:
                found = one.getpeername()[0]
        if found is not None:
            self.close()
        return found

    def close(self) -> None:
        if not self._socket.closed:
            self._socket.disable_monitor()
            self._socket.close(0)
            self._monitor.close(0)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _poll(sockets: Iterable[tuple[socket.socket, int]], seconds: float) -> bool:
    """Wait until a socket has one of its events or the time is over; return whether there is one."""
    poller = zmq.Poller()
    for one, events in sockets:
        poller.register(one, events | zmq.POLLERR)
    return bool(poller.poll(max(0, round(seconds * 1000))))
