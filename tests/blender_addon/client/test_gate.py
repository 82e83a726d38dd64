"""What a server sends is counted before libzmq keeps it, and all that the protocol permits arrives."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import zmq

from blender_addon.client import gate as gates
from blender_addon.client.connection import Connection
from blender_addon.client.gate import Gate
from blender_addon.client.sockets import Sockets
from protocol.address import Address, parse
from protocol.messages import Bye, Heartbeat, Selected
from protocol.pairing import Pairing
from protocol.wire import MAX_ARRAY, MAX_ARRAYS, MAX_HEADER, decode, encode
from protocol.zmtp_frames import CREDIT
from tests.protocol.test_zmtp_frames import greeting

READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER"
PATIENCE = 20.0
SLACK = 32 << 20
"""Bytes that the buffers of the system hold, both ends of two connections."""


class Endless(threading.Thread):
    """A server that sends frames of one message, as fast as they are taken."""

    def __init__(self, frame: bytes) -> None:
        super().__init__(daemon=True)
        self.block = frame * max(1, (1 << 18) // len(frame))
        self.sent = 0
        self.cut_off = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"

    def run(self) -> None:
        peer, _ = self.listener.accept()
        with peer, contextlib.suppress(OSError):
            peer.sendall(greeting() + READY)
            heard = b""
            while b"DEALER" not in heard:  # libzmq takes no message before it has sent this
                heard += peer.recv(1 << 10)
            while True:
                self.sent += peer.send(memoryview(self.block)[self.sent % len(self.block) :])
        self.cut_off = True
        self.listener.close()


LARGE = b"\x03" + struct.pack(">Q", 1 << 20) + bytes(1 << 20)


@pytest.mark.parametrize("frame", [LARGE, b"\x01\x01x", b"\x01\x00"], ids=["large", "of a byte", "empty"])
def test_a_message_without_an_end_is_cut_off(frame, monkeypatch):
    monkeypatch.setattr(gates, "STALLED", 0.2)
    server = Endless(frame)
    server.start()
    connection = Connection()
    connection.connect(server.address)
    try:
        assert connection.run(lambda: server.cut_off, PATIENCE)
        connection.run(lambda: connection.state == "error", PATIENCE)
        assert connection.error is not None
        assert connection.error.sentence == "The server sent a message that is longer than the protocol permits."
        assert server.sent < CREDIT + SLACK
    finally:
        connection.destroy()


def test_nothing_is_taken_while_blender_is_busy():
    server = Endless(LARGE)
    server.start()
    connection = Connection()
    connection.connect(server.address)
    try:
        assert connection.run(lambda: server.sent > 0, PATIENCE)
        time.sleep(0.3)
        before = server.sent
        time.sleep(0.3)
        assert server.sent == before < CREDIT + SLACK
    finally:
        connection.destroy()


@pytest.fixture
def router() -> Iterator[zmq.Socket]:
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.bind("tcp://127.0.0.1:*")
    yield router
    context.destroy(linger=0)


def _received(sockets: Sockets):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        sockets.forward()
        if (received := sockets.receive("control")) is not None:
            return received
        sockets.wait(0.02)
    raise TimeoutError


def _spoken(sockets: Sockets, router: zmq.Socket) -> list[bytes]:
    """Send a message to the router; return its frames there."""
    end = time.monotonic() + PATIENCE
    while not sockets.send("control", Heartbeat()) and time.monotonic() < end:
        sockets.forward()
        sockets.wait(0.02)
    while not router.poll(0) and time.monotonic() < end:
        sockets.forward()
        sockets.wait(0.02)
    return router.recv_multipart()


def _address(router: zmq.Socket) -> Address:
    return parse(router.getsockopt_string(zmq.LAST_ENDPOINT))


@pytest.mark.parametrize("encrypted", [False, True])
def test_the_longest_message_arrives_again_and_again(router, encrypted):
    pairing = None
    if encrypted:
        public, secret = zmq.curve_keypair()
        router.curve_server, router.curve_secretkey = True, secret
        router.bind("tcp://127.0.0.1:*")  # what was bound before stays in the clear
        pairing = Pairing(public.decode(), zmq.curve_keypair()[1].decode())
    context = zmq.Context()
    sockets = Sockets(context, _address(router), pairing)
    try:
        peer, _ = _spoken(sockets, router)
        arrays = [np.full(MAX_ARRAY, number, np.uint8) for number in range(MAX_ARRAYS)]
        header, *frames = encode(Selected("a" * 32, 0, 0), arrays)
        for _ in range(5):
            router.send_multipart([peer, bytes(header).ljust(MAX_HEADER), *frames], zmq.NOBLOCK)
        for _ in range(5):
            _, got, _ = _received(sockets)
            assert all(np.array_equal(one, two) for one, two in zip(got, arrays, strict=True))
    finally:
        sockets.close(send_bye=False)
        context.destroy(linger=0)


def test_the_last_message_leaves_before_the_sockets_close(router):
    context = zmq.Context()
    sockets = Sockets(context, _address(router))
    _spoken(sockets, router)
    sockets.close(send_bye=True)
    assert router.poll(1000)
    assert decode(router.recv_multipart()[1:])[0] == Bye()
    context.destroy(linger=0)


def test_a_server_that_starts_later_is_reached(router):
    where = _address(router)
    router.close()
    context = zmq.Context()
    sockets = Sockets(context, where)
    try:
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            sockets.forward()
            sockets.wait(0.02)
            assert not sockets.lost, "nobody listens there, but nobody has hung up"
        late = context.socket(zmq.ROUTER)
        late.bind(str(where))
        assert _spoken(sockets, late)
        late.close()
    finally:
        sockets.close(send_bye=False)
        context.destroy(linger=0)


def test_a_host_is_found_by_its_name(router):
    context = zmq.Context()
    sockets = Sockets(context, Address("localhost", _address(router).port))
    try:
        assert _spoken(sockets, router)
    finally:
        sockets.close(send_bye=False)
        context.destroy(linger=0)


def test_a_slow_reader_is_not_taken_for_an_endless_message(router):
    """The window is away for long between two steps, with messages in every buffer."""
    clock = [1000.0]
    context = zmq.Context()
    gate = Gate(context, _address(router), lambda: clock[0])
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.RCVHWM, 2)
    dealer.connect(gate.inner_address)
    dealer.send(b"here")
    while not router.poll(1):
        gate.step()
    peer, _ = router.recv_multipart()
    for _ in range(12):
        router.send_multipart([peer, bytes(1 << 20), bytes(1 << 20)])
    got = 0
    while got < 12 and gate.fault is None:
        clock[0] += 3600.0
        gate.step()
        while dealer.poll(1):
            gate.received(sum(len(frame) + 128 for frame in dealer.recv_multipart()))
            got += 1
    assert got == 12
    gate.close()
    context.destroy(linger=0)
