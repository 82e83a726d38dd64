"""The two sockets of one attempt to reach a server: messages out, messages in, never waiting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import zmq
from numpy.typing import NDArray
from zmq.utils.monitor import recv_monitor_message

from protocol.messages import AnyMessage, Bye, Message
from protocol.wire import MAX_FRAME, decode, encode

from .address import Address

Channel = Literal["control", "bulk"]
Received = tuple[AnyMessage, list[NDArray], int]

GONE = zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
FAREWELL_MS = 100
"""How long libzmq may still try to send the last word after the sockets are closed."""


class Link:
    """A control socket, and a bulk socket once :meth:`open_bulk` was called.

    libzmq would connect a lost socket again by itself, but under a new identity that the server does not know. So a
    link that was cut stays cut: :attr:`cut` says so, and its owner makes a new one.

    Args:
        context: the owner's own, never the shared instance.
        address: of the server's control socket.
    """

    def __init__(self, context: zmq.Context, address: Address) -> None:
        self._context = context
        self._address = address
        self._sockets: dict[Channel, zmq.Socket] = {}
        self._monitors: list[zmq.Socket] = []
        self._cut = False
        self._open("control", address)

    def open_bulk(self, port: int) -> None:
        """Connect the bulk socket to that port of the same host."""
        self._open("bulk", self._address.at(port))

    def send(self, channel: Channel, message: Message, arrays: Sequence[NDArray] = (), *, id: int = 0) -> bool:
        """Send a message; False where the socket cannot take it now, or is not connected yet."""
        try:
            # Zero-copy sends would start a Python thread, which Blender does not bear.
            self._sockets[channel].send_multipart(encode(message, arrays, id=id), zmq.NOBLOCK, copy=True)
        except zmq.Again:
            return False
        return True

    def receive(self, channel: Channel) -> Received | None:
        """Return the next message on a channel, or None.

        Raises:
            BadFrames, VersionMismatch: from :func:`protocol.wire.decode`.
        """
        socket = self._sockets.get(channel)
        if socket is None:
            return None
        try:
            frames = socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        return decode([frame.buffer for frame in frames])

    @property
    def cut(self) -> bool:
        """Whether a connection that stood has ended."""
        for monitor in self._monitors:
            while not self._cut and monitor.poll(0):
                self._cut = bool(recv_monitor_message(monitor, zmq.NOBLOCK)["event"] & GONE)
        return self._cut

    def wait(self, seconds: float) -> None:
        """Wait until there is something to receive, or so long. For scripts only: Blender's window stands still."""
        poller = zmq.Poller()
        for socket in (*self._sockets.values(), *self._monitors):
            poller.register(socket, zmq.POLLIN)
        poller.poll(round(seconds * 1000))

    def close(self, *, farewell: bool) -> None:
        """Close both sockets; with ``farewell``, tell the server that this session is over."""
        said = farewell and not self._cut and self.send("control", Bye())
        for channel, socket in self._sockets.items():
            socket.disable_monitor()
            socket.close(FAREWELL_MS if said and channel == "control" else 0)
        for monitor in self._monitors:
            monitor.close(0)
        self._sockets.clear()
        self._monitors.clear()

    def _open(self, channel: Channel, address: Address) -> None:
        socket = self._context.socket(zmq.DEALER)
        self._sockets[channel] = socket
        for option, value in {
            zmq.LINGER: 0,
            zmq.IMMEDIATE: 1,
            zmq.MAXMSGSIZE: MAX_FRAME,
            zmq.SNDHWM: 16,
            zmq.RCVHWM: 16,
            zmq.HEARTBEAT_IVL: 2000,
            zmq.HEARTBEAT_TIMEOUT: 6000,
            zmq.HEARTBEAT_TTL: 6000,
            zmq.HANDSHAKE_IVL: 5000,
            zmq.RECONNECT_IVL: 200,
            zmq.RECONNECT_IVL_MAX: 5000,
            zmq.TCP_KEEPALIVE: 1,
            zmq.TCP_KEEPALIVE_IDLE: 60,
            zmq.IPV6: int(address.is_v6),
        }.items():
            socket.setsockopt(option, value)
        self._monitors.append(socket.get_monitor_socket(GONE))
        socket.connect(str(address))
