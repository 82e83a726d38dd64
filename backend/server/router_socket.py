"""A ROUTER socket that receives and sends messages; a slow peer does not delay the others.

Without ROUTER_MANDATORY, libzmq drops messages to a slow peer silently. With it, sending to a full pipe fails, and the
message waits here while other peers are served.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
import zmq
from numpy.typing import NDArray
from zmq.utils.monitor import recv_monitor_message

from backend.server.front import INNER_HOST, Front
from backend.server.keys import Keys
from backend.server.known_keys import KnownKeys
from backend.server.unsent import Unsent
from backend.server.zap_auth import DOMAIN, USER
from protocol.address import Address
from protocol.errors import BadFrames, Fault, Refused, Unavailable, VersionMismatch
from protocol.messages import AnyMessage, Error, Message
from protocol.raw_sockets import borrowed
from protocol.wire import MAX_FRAME, Frame, decode, encode
from protocol.zmtp_frames import SEAL, cost

HIGH_WATER = 16
"""Most messages that libzmq holds per peer and direction on control."""
BULK_HIGH_WATER = 8
"""The same on bulk, where a message has up to a MiB."""
MAX_BACKLOG = 64
MAX_BACKLOG_BYTES = 16 << 20
"""Most messages, and their bytes, that wait here for one peer; a peer with more is dropped."""
SHARED = 32 << 20
"""Bytes that are not sent yet, to all peers, beyond which a peer is sent its file one range at a time."""
MAX_UNSENT = 128 << 20
"""Most bytes that are not sent yet, to all peers. Beyond that, the peer that has read nothing for the longest time is
dropped."""


class Received(msgspec.Struct, frozen=True):
    """A received message.

    Attributes:
        peer: routing id of the sender, to answer it.
        id: the number of the request, 0 if the message is not one.
        connection: see :meth:`backend.server.front.Front.number`. A peer chooses its routing id and may take that of a
            peer that has ended, so this number identifies it.
        key, client: the public key of the client in Z85, and its name; "" without encryption.
    """

    peer: bytes
    message: AnyMessage
    arrays: list[NDArray]
    id: int
    connection: int
    key: str
    client: str


class _Numbered(msgspec.Struct):
    id: int = 0


_numbered = msgspec.json.Decoder(_Numbered)


class RouterSocket:
    """A ROUTER socket behind a front.

    Args:
        context: of the server.
        front: listens at the address, and forwards connections to this socket.
        address: that clients connect to; port 0 takes a free one.
        lost: called with a peer that has disconnected or does not read.
        keys: to encrypt with; None for no encryption, on loopback only.
        known: the keys of clients that may connect, if ``keys`` is given.
        high_water: most messages that libzmq holds per peer and direction.

    Attributes:
        monitor: can be polled for connections that :meth:`turn_away` has to check.
        address: as given, with the port.

    Raises:
        Refused: if there are no keys and other machines can reach the address.
        Unavailable: if the port is in use or may not be used.
    """

    def __init__(
        self,
        context: zmq.Context,
        front: Front,
        address: Address,
        lost: Callable[[bytes], None],
        keys: Keys | None = None,
        known: KnownKeys | None = None,
        high_water: int = HIGH_WATER,
    ) -> None:
        if keys is None and not address.is_loopback:
            raise Refused(
                f"The server does not listen at {address}: other machines can reach that address, and the connection "
                "is not encrypted.",
                "Enable encryption, or listen at tcp://127.0.0.1:5757.",
            )
        self.socket = context.socket(zmq.ROUTER)
        self._front = front
        self._known = known
        self._lost = lost
        self._backlog: dict[bytes, deque[list[Frame]]] = {}
        self._waiting_bytes: Counter[bytes] = Counter()
        self._waits_since: dict[bytes, float] = {}
        """For each peer with a backlog, when it began."""
        self._unsent = Unsent()
        # No heartbeats of libzmq, see docs/reliability.md: with them a peer can end the process.
        for option, value in {
            zmq.LINGER: 500,
            zmq.ROUTER_MANDATORY: 1,
            zmq.MAXMSGSIZE: MAX_FRAME + (SEAL if keys else 0),
            zmq.SNDHWM: high_water,
            zmq.RCVHWM: high_water,
            zmq.HANDSHAKE_IVL: 5000,
            zmq.BACKLOG: 512,
        }.items():
            self.socket.setsockopt(option, value)
        if keys is not None:
            self._encrypt(keys)
        self._inner = self.socket.bind_to_random_port(f"tcp://{INNER_HOST}")
        self.monitor = self.socket.get_monitor_socket(zmq.EVENT_ACCEPTED)
        self.address = self._listen(address)

    def _encrypt(self, keys: Keys) -> None:
        self.socket.setsockopt(zmq.CURVE_SERVER, 1)
        self.socket.setsockopt(zmq.CURVE_SECRETKEY, keys.server.encode())
        self.socket.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
        self.socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def _listen(self, address: Address) -> Address:
        """Let the front listen, and return the address with its port; close this socket if that is impossible."""
        try:
            return self._front.listen(address, self._inner)
        except OSError as error:
            self.close()
            if error.errno == errno.EADDRINUSE:
                raise Unavailable(
                    f"Port {address.port} of {address.host} is in use by another program.",
                    "Stop that program, or choose another port with --bind.",
                ) from error
            if error.errno == errno.EACCES:
                raise Unavailable(
                    f"The server is not permitted to listen at port {address.port} of {address.host}.",
                    "Choose another port with --bind, such as tcp://127.0.0.1:5757. Ports below 1024 often need "
                    "administrator rights.",
                ) from error
            raise Unavailable(
                f"The server cannot listen at {address}: {error.strerror}.",
                "Choose an address of this machine with --bind, or tcp://0.0.0.0:5757 for all its addresses.",
            ) from error

    def turn_away(self) -> None:
        """Close connections of local programs that do not go through the front."""
        while self.monitor.poll(0):
            number = recv_monitor_message(self.monitor)["value"]
            with contextlib.suppress(OSError), borrowed(number) as one:
                ours = one.getsockname() == (INNER_HOST, self._inner)
                if ours and not self._front.made(self._inner, one.getpeername()[1]):
                    one.shutdown(socket.SHUT_RDWR)

    def receive(self, limit: int) -> Iterator[Received]:
        """Yield up to ``limit`` received messages. Frames that cannot be decoded are answered with an error.

        Messages with a revoked key are dropped, and their connections closed.
        """
        for _ in range(limit):
            try:
                first, *rest = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            peer, frames = first.bytes, [frame.buffer for frame in rest]
            key = _key_of(first) if self._known is not None else ""
            connection = self._acknowledge(first, rest, key)
            client = self._known.name(key) if self._known is not None else ""
            if client is None:
                self._front.drop(frozenset({key}))
                continue
            try:
                message, arrays, id = decode(frames)
            except (BadFrames, VersionMismatch) as fault:
                self.send_fault(peer, fault, _id_of(frames))
            else:
                yield Received(peer, message, arrays, id, connection, key, client)

    def send(self, peer: bytes, message: Message, arrays: Sequence[NDArray] = (), *, id: int = 0) -> None:
        """Send a message now, or once a slow peer has read earlier ones."""
        frames = [peer, *encode(message, arrays, id=id)]
        backlog = self._backlog.get(peer)
        if backlog is None and self._post(frames):
            return
        backlog = self._backlog.setdefault(peer, deque())
        self._waits_since.setdefault(peer, time.monotonic())
        backlog.append(frames)
        self._waiting_bytes[peer] += _bytes_of(frames)
        if len(backlog) > MAX_BACKLOG or self._waiting_bytes[peer] > MAX_BACKLOG_BYTES:
            self._drop(peer)
        else:
            self._limit()

    def send_fault(self, peer: bytes, fault: Fault, id: int) -> None:
        self.send(peer, Error(fault.code, fault.sentence[:2000], fault.remedy[:2000]), id=id)

    def offer(self, peer: bytes, message: Message, arrays: Sequence[NDArray] = ()) -> bool:
        """Send a message if the peer can receive it now; return whether it was sent."""
        return peer not in self._backlog and self._post([peer, *encode(message, arrays)])

    def takes(self, peer: bytes) -> bool:
        """Whether a peer may be sent another range of a file now."""
        return peer not in self._backlog and (self._unsent.total < SHARED or not self._unsent.has(peer))

    def unsent(self) -> int:
        """Return the bytes that are not sent yet, to all peers."""
        self._unsent.look()
        return self._unsent.total + self._waiting_bytes.total()

    def flush(self) -> None:
        """Send waiting messages that the peers can receive now."""
        self._unsent.look()
        for peer, backlog in list(self._backlog.items()):
            while backlog:
                frames = backlog.popleft()
                if not self._post(frames):
                    backlog.appendleft(frames)
                    break
                self._waiting_bytes[peer] -= _bytes_of(frames)
            if not backlog:
                self.forget(peer)

    @property
    def waiting(self) -> bool:
        return bool(self._backlog)

    def forget(self, peer: bytes) -> None:
        """Do not send a peer the messages that wait here."""
        self._backlog.pop(peer, deque()).clear()
        self._waiting_bytes.pop(peer, None)
        self._waits_since.pop(peer, None)

    def _drop(self, peer: bytes) -> None:
        """Give up a peer that has disconnected or does not read."""
        self.forget(peer)
        self._unsent.forget(peer)
        self._lost(peer)

    def _limit(self) -> None:
        """Drop a peer if all of them together read too little."""
        if self._unsent.total + self._waiting_bytes.total() > MAX_UNSENT and self.unsent() > MAX_UNSENT:
            since = {**self._waits_since, **self._unsent.oldest()}
            self._drop(min(since, key=since.__getitem__))

    def close(self) -> None:
        self.socket.disable_monitor()
        self.socket.close()

    def _acknowledge(self, first: zmq.Frame, frames: list[zmq.Frame], key: str) -> int:
        """Tell the front that a message was received, so that it reads more from that connection.

        Returns the number of the connection, 0 if it has ended.
        """
        with contextlib.suppress(OSError, zmq.ZMQError), borrowed(int(first.get(zmq.SRCFD))) as one:
            port = one.getpeername()[1]
            number = self._front.number(self._inner, port)
            self._front.received(self._inner, port, cost([len(frame.buffer) for frame in frames]), key)
            return number
        return 0

    def _post(self, frames: list[Frame]) -> bool:
        """Pass a message to libzmq; return False if the peer's pipe is full. Messages to a lost peer are dropped."""
        try:
            # libzmq does not copy large frames; their content is never changed afterwards.
            parts = [zmq.Frame(each, track=True) if len(each) >= zmq.COPY_THRESHOLD else each for each in frames]
            self.socket.send_multipart(parts, zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._drop(bytes(frames[0]))
            return True
        large = [each for each in parts if isinstance(each, zmq.Frame)]
        for each in large:
            self._unsent.add(bytes(frames[0]), each)
        if large:
            self._limit()
        return True


def _bytes_of(frames: Iterable[Frame]) -> int:
    return sum(map(len, frames))


def _key_of(frame: zmq.Frame) -> str:
    """Return the public key in Z85 of the client that sent an encrypted frame; "" if libzmq does not know it."""
    try:
        return str(frame.get(USER))
    except zmq.ZMQError:
        return ""


def _id_of(frames: Sequence[Frame]) -> int:
    """Return the request number of frames that cannot be decoded, so that the client learns which request failed."""
    try:
        id = _numbered.decode(frames[0]).id if frames else 0
    except (msgspec.DecodeError, RecursionError):
        return 0
    return id if 0 <= id <= 2**53 else 0
