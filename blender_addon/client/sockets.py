"""The two non-blocking sockets of one connection attempt to a server, each behind a gate."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import zmq
from numpy.typing import NDArray
from zmq.utils.monitor import recv_monitor_message

from protocol.address import Address
from protocol.messages import AnyMessage, Bye, Message
from protocol.pairing import Pairing
from protocol.wire import MAX_FRAME, decode, encode
from protocol.zmtp_frames import SEAL, cost

from .gate import Gate

Channel = Literal["control", "bulk"]
Received = tuple[AnyMessage, list[NDArray], int]
Refusal = Literal["mechanism", "pairing"]
"""Either only one side encrypts, or the server does not know the pairing string."""

HUNG_UP = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
FAILED = HUNG_UP | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
EVENTS = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | FAILED
MAX_HANG_UPS = 3
"""Handshakes closed by the server without a reason after which the connection counts as refused.

A server with another key closes them like this. So does, about half of the time, a server that encrypts while the
client does not, or the reverse: the disconnection may arrive before the reason.
"""
BYE_LINGER = 0.1
"""Most seconds for the last message to leave when the sockets are closed."""
SEND_TIME = 0.005
"""Most seconds in which libzmq passes a message on to the gate."""


@dataclass
class _Monitor:
    """libzmq's events of one socket, and the outcome of its first handshake.

    Attributes:
        probing: whether the socket only tests if the server accepts unencrypted clients.
    """

    socket: zmq.Socket
    probing: bool = False
    connected: bool = False
    trying_again: bool = False
    hang_ups: int = 0


class Sockets:
    """A control socket, and a bulk socket after :meth:`open_bulk`.

    libzmq would reconnect a lost socket automatically, but with a new identity that the server does not know. So a lost
    link stays lost: its owner checks :attr:`lost` and creates new sockets.

    Args:
        context: the owner's own, never the shared instance.
        address: of the server's control socket.
        pairing: the keys to encrypt with; None for an unencrypted connection.
    """

    def __init__(self, context: zmq.Context, address: Address, pairing: Pairing | None = None) -> None:
        self._context = context
        self._address = address
        self._sockets: dict[Channel, zmq.Socket] = {}
        self._gates: dict[zmq.Socket, Gate] = {}
        self._sent_at = 0.0
        self._probe: zmq.Socket | None = None
        self._pairing = pairing
        self._monitors: list[_Monitor] = []
        self._lost = False
        self._refusal: Refusal | None = None
        self._open("control", address)

    def open_bulk(self, port: int) -> None:
        """Connect the bulk socket to this port of the same host."""
        self._open("bulk", self._address.at(port))

    def send(self, channel: Channel, message: Message, arrays: Sequence[NDArray] = (), *, id: int = 0) -> bool:
        """Send a message; return False if the socket cannot accept it now, or is not connected yet."""
        try:
            # Zero-copy sends would start a Python thread, which is unsafe in Blender.
            self._sockets[channel].send_multipart(encode(message, arrays, id=id), zmq.NOBLOCK, copy=True)
        except zmq.Again:
            return False
        self._sent_at = time.monotonic()
        return True

    def forward(self) -> bool:
        """Forward what the server and libzmq have sent; return whether there may be more at once."""
        moved = False
        for gate in self._gates.values():
            moved |= gate.step()
        return moved or time.monotonic() - self._sent_at < SEND_TIME

    def receive(self, channel: Channel) -> Received | None:
        """Return the next message on a channel, or None.

        Raises:
            BadFrames, VersionMismatch: from :func:`protocol.wire.decode`; BadFrames also if a message does not end.
        """
        socket = self._sockets.get(channel)
        if socket is None:
            return None
        gate = self._gates[socket]
        if gate.fault is not None:
            raise gate.fault
        try:
            frames = [frame.buffer for frame in socket.recv_multipart(zmq.NOBLOCK, copy=False)]
        except zmq.Again:
            return None
        gate.received(cost([len(frame) for frame in frames]))
        return decode(frames)

    @property
    def encrypted(self) -> bool:
        return self._pairing is not None

    @property
    def lost(self) -> bool:
        """Whether an established connection, or the attempt to establish one, has ended."""
        self._read_events()
        return self._lost

    @property
    def refusal(self) -> Refusal | None:
        """Why the server refuses these keys; None if it accepts them or has not answered."""
        self._read_events()
        return self._refusal

    def _read_events(self) -> None:
        for monitor in self._monitors:
            while not self._lost and monitor.socket.poll(0):
                self._handle_event(monitor, recv_monitor_message(monitor.socket, zmq.NOBLOCK))

    def _handle_event(self, monitor: _Monitor, message: Any) -> None:
        event = message["event"]
        if monitor.probing:
            self._set_lost("mechanism" if event == zmq.EVENT_HANDSHAKE_SUCCEEDED else "pairing")
        elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            monitor.connected = True
        elif event == HUNG_UP and not monitor.connected:
            monitor.hang_ups += 1
            # An event for the disconnection follows.
            monitor.trying_again = True
            if monitor.hang_ups >= MAX_HANG_UPS and self._pairing is None:
                self._set_lost(None)
            elif monitor.hang_ups >= MAX_HANG_UPS and self._probe is None:
                self._probe = self._open_socket(self._address, None)
        elif event == zmq.EVENT_DISCONNECTED and monitor.trying_again:
            monitor.trying_again = False
        elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            self._set_lost("pairing")
        elif message["value"] == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
            self._set_lost("mechanism")
        else:
            self._set_lost(None)

    def _set_lost(self, refusal: Refusal | None) -> None:
        self._lost = True
        self._refusal = refusal

    def wait(self, seconds: float) -> None:
        """Wait until a message arrives or the time is over. For scripts only: it blocks Blender's window."""
        poller = zmq.Poller()
        for socket in (*self._sockets.values(), *(monitor.socket for monitor in self._monitors)):
            poller.register(socket, zmq.POLLIN)
        for gate in self._gates.values():
            for one, events in gate.waits_for():
                poller.register(one, events)
        poller.poll(round(seconds * 1000))

    def close(self, *, send_bye: bool) -> None:
        """Close both sockets; with ``send_bye``, tell the server that the session ends."""
        said = send_bye and not self._lost and self.send("control", Bye())
        bye = self._sockets["control"] if said else None
        for socket, gate in self._gates.items():
            socket.disable_monitor()
            socket.close(round(BYE_LINGER * 1000) if socket is bye else 0)
            if socket is bye:
                gate.flush(BYE_LINGER)
            gate.close()
        for monitor in self._monitors:
            monitor.socket.close(0)
        self._probe = None
        self._gates.clear()
        self._sockets.clear()
        self._monitors.clear()

    def _open(self, channel: Channel, address: Address) -> None:
        self._sockets[channel] = self._open_socket(address, self._pairing)

    def _open_socket(self, address: Address, pairing: Pairing | None) -> zmq.Socket:
        socket = self._context.socket(zmq.DEALER)
        # No heartbeats of libzmq, see docs/reliability.md: with them a server can end Blender.
        for option, value in {
            zmq.LINGER: 0,
            zmq.IMMEDIATE: 1,
            zmq.MAXMSGSIZE: MAX_FRAME + (SEAL if pairing else 0),
            zmq.SNDHWM: 16,
            zmq.RCVHWM: 16,
            zmq.HANDSHAKE_IVL: 5000,
            zmq.RECONNECT_IVL: 200,
            zmq.RECONNECT_IVL_MAX: 5000,
        }.items():
            socket.setsockopt(option, value)
        if pairing is not None:
            secret = pairing.client.encode()
            socket.setsockopt(zmq.CURVE_SERVERKEY, pairing.server.encode())
            socket.setsockopt(zmq.CURVE_SECRETKEY, secret)
            socket.setsockopt(zmq.CURVE_PUBLICKEY, zmq.curve_public(secret))
        self._monitors.append(_Monitor(socket.get_monitor_socket(EVENTS), probing=pairing is not self._pairing))
        gate = Gate(self._context, address)
        self._gates[socket] = gate
        socket.connect(gate.inner_address)
        return socket
