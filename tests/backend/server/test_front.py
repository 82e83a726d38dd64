"""What strangers can make the server hold is bounded, and clients are served meanwhile."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest
import zmq

from backend.server import front as front_module
from backend.server.file_limit import MAX_CONNECTIONS, raise_file_limit
from backend.server.front import _host
from protocol.messages import Correct, Error, Heartbeat
from protocol.wire import MAX_ARRAY, MAX_ARRAYS, MAX_HEADER, encode
from protocol.zmtp_frames import CREDIT
from tests.backend.server.client import Client
from tests.backend.server.conftest import Serving, ServingProcess
from tests.protocol.test_zmtp_frames import READY, greeting


def port_of(served) -> int:
    return int(served.address.rpartition(":")[2])


def greeted(port: int) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", port), timeout=5)
    peer.sendall(greeting())
    got = b""
    while len(got) < 64:
        got += peer.recv(64 - len(got))
    peer.sendall(READY)
    return peer


def ended(peer: socket.socket, patience: float = 10.0) -> bool:
    """Whether the other side closes the connection in time."""
    peer.settimeout(patience)
    with contextlib.suppress(ConnectionError):
        while True:
            try:
                if not peer.recv(4096):
                    return True
            except TimeoutError:
                return False
    return True


def send_without_end(peer: socket.socket, frame: bytes, most: int) -> int:
    """Send a frame again and again until it is not taken for a second; return the bytes sent."""
    sent = 0
    peer.settimeout(1.0)
    with contextlib.suppress(TimeoutError, ConnectionError):
        while sent < most:
            sent += peer.send(frame[sent % len(frame) :])
    return sent


def until(reached: Callable[[], bool], patience: float = 5.0) -> None:
    end = time.monotonic() + patience
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)


FRAMES = {
    "large": b"\x03" + struct.pack(">Q", MAX_ARRAY) + bytes(MAX_ARRAY),
    "small": b"\x01\x01x" * 10_000,
}


@pytest.mark.parametrize("size", FRAMES)
def test_a_message_without_an_end_is_not_taken(serving, connect, size, monkeypatch):
    monkeypatch.setattr(front_module, "STALLED", 1.5)
    client = connect(serving)
    for listener in serving.server._front._listeners:
        # Otherwise the system lets the buffer grow, to 32 MiB on some machines, while the front gets no processor.
        listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    with greeted(port_of(serving)) as peer:
        sent = send_without_end(peer, FRAMES[size], 64 << 20)
        # What the system holds for both ends of the connection comes on top.
        assert sent < CREDIT + (16 << 20)
        assert serving.server._front._under_way < CREDIT + (2 << 20)
        assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()
        assert ended(peer)
    assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()


def test_all_together_hold_no_more_than_the_total(serving, connect, monkeypatch):
    monkeypatch.setattr(front_module, "TOTAL", 3 << 20)
    client = connect(serving)
    peers = [greeted(port_of(serving)) for _ in range(4)]
    for number, peer in enumerate(peers):
        send_without_end(peer, FRAMES["large"], 1 << 20)
        until(lambda number=number: serving.server._front._under_way >= min(number + 1, 2) << 20)
    assert ended(peers[0], 2.0)
    until(lambda: serving.server._front._under_way <= 3 << 20)
    assert not ended(peers[-1], 0.2)
    assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()
    for peer in peers:
        peer.close()


def test_large_messages_go_on_past_the_credit(serving, connect, scene):
    """What was received as whole messages does not count any more."""
    client = connect(serving)
    manifest, _ = client.offer(scene("write out 1", "done", big=3 * CREDIT))
    assert client.submit(manifest).state == "queued"
    until(lambda: serving.server._front._under_way == 0)


def test_one_that_says_nothing_is_closed_and_never_reaches_libzmq(serving, monkeypatch):
    monkeypatch.setattr(front_module, "GREETING_TIME", 0.3)
    with socket.create_connection(("127.0.0.1", port_of(serving))) as peer:
        time.sleep(0.1)
        assert not serving.server._front._connections
        assert ended(peer, 3.0)


def test_what_is_not_zmtp_is_closed_at_once(serving):
    with socket.create_connection(("127.0.0.1", port_of(serving))) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert ended(peer, 3.0)


@pytest.fixture
def narrow(serving):
    """A server that takes few connections."""
    serving.server._front._limit = 6
    return serving


def test_bare_connections_give_way_to_clients(narrow, connect):
    client = connect(narrow)
    held = [socket.create_connection(("127.0.0.1", port_of(narrow))) for _ in range(100)]
    assert connect(narrow).ask(Heartbeat(), Heartbeat) == Heartbeat()
    assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()
    for one in held:
        one.close()


def test_silent_peers_give_way_to_clients_that_talk(narrow, connect):
    client = connect(narrow)
    held = []
    for _ in range(12):
        held.append(greeted(port_of(narrow)))
        assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()
    assert connect(narrow).ask(Heartbeat(), Heartbeat) == Heartbeat()
    assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()
    assert ended(held[0], 2.0)
    for one in held:
        one.close()


def test_the_address_with_the_most_connections_gives_way(narrow, connect):
    """A client at another address is not shut out, however silent it is."""
    front = narrow.server._front
    client = connect(narrow)
    first = next(iter(front._listeners[0].connections()))
    first.host = "192.0.2.1"
    held = []
    for _ in range(12):
        held.append(greeted(port_of(narrow)))
        time.sleep(0.02)
    assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()
    for one in held:
        one.close()


def test_a_program_that_goes_around_the_front_is_turned_away(serving, connect):
    client = connect(serving)
    inner = serving.server.control_socket._inner
    with socket.create_connection(("127.0.0.1", inner)) as peer:
        assert ended(peer, 3.0)
    assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()


def test_the_last_words_of_a_server_are_passed_on(serving, connect, scene):
    client = connect(serving)
    manifest, _ = client.offer(scene("step lift 0.5", "sleep 60"))
    job = client.submit(manifest).job
    client.until(job, "running", stage="lift")
    serving.stop()
    assert "was stopped" in client.until(job, "queued").note


def test_no_descriptor_and_no_thread_is_left(tmp_path, connect):
    if sys.platform != "linux":
        pytest.skip("counts descriptors in /proc")
    with zmq.Context() as context:  # what libzmq opens once and keeps
        context.socket(zmq.ROUTER).close()
    Serving(tmp_path / "first").stop()
    before = len(os.listdir("/proc/self/fd"))
    served = Serving(tmp_path / "second")
    with Client(served.address) as client:
        client.attach()
        held = [greeted(port_of(served)) for _ in range(5)]
        served.stop()
        for one in held:
            one.close()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_the_limit_of_connections_leaves_descriptors_for_the_rest(monkeypatch):
    if sys.platform == "win32":
        assert raise_file_limit() == MAX_CONNECTIONS
        return
    import resource

    limits = {"now": (256, 1024)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.update(now=new))
    assert raise_file_limit() == (1024 - 384) // 6
    assert limits["now"] == (1024, 1024)
    limits["now"] = (1024, resource.RLIM_INFINITY)
    assert raise_file_limit() == MAX_CONNECTIONS
    assert limits["now"][0] == 8192
    limits["now"] = (100, 100)
    assert raise_file_limit() == 8


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("127.0.0.1", "127.9.8.7", True),
        ("::1", "127.0.0.1", True),
        ("::ffff:127.0.0.1", "127.0.0.2", True),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_the_addresses_that_one_machine_can_choose_count_as_one(one, other, same):
    assert (_host(one) == _host(other)) is same


def test_addresses_that_only_greet_give_way_to_a_client(narrow, connect):
    client = connect(narrow)
    held = []
    for number in range(12):
        held.append(greeted(port_of(narrow)))
        time.sleep(0.02)
        for connection in narrow.server._front._listeners[0].connections():
            if connection.host == "loopback" and not connection.talks:
                connection.host = f"192.0.2.{number}"
    assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()
    for one in held:
        one.close()


@pytest.mark.parametrize("encrypted", [False, True])
def test_the_longest_message_is_answered(tmp_path, encrypted):
    served = Serving(tmp_path / "data", encrypted=encrypted)
    keys = served.server.keys
    with contextlib.closing(Client(served.address, pairing=keys.pairing if keys else None)) as client:
        header, *arrays = encode(Correct("0" * 32), [np.zeros(MAX_ARRAY, np.uint8)] * MAX_ARRAYS, id=77)
        client.control.send_multipart([bytes(header).ljust(MAX_HEADER), *arrays])
        answer, _, of = client.receive()
    served.stop()
    assert isinstance(answer, Error)
    assert of == 77


def test_a_peer_whose_messages_are_not_received_does_not_end_the_server(start: Callable[..., ServingProcess]) -> None:
    """libzmq 4.3.5 aborted the process when a heartbeat was due on a connection that was lost while its pipe was full.

    A socket with the routing id of another peer is not read, so its pipe fills up.
    """
    served = start()
    with Client(served.address, routing_id=b"one") as client:
        with Client(served.address, routing_id=b"one", hello=False) as other:
            for _ in range(100):
                other.control.send_multipart(encode(Heartbeat(), id=1))
            time.sleep(0.3)
        # Heartbeats were sent every 2 s: the first after the loss was answered by a reset, the second aborted.
        end = time.monotonic() + 4.5
        while time.monotonic() < end:
            assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()
            assert served.process.poll() is None
            time.sleep(0.1)


def test_a_peer_that_sends_no_message_after_its_handshake_is_closed(serving, connect, monkeypatch):
    monkeypatch.setattr(front_module, "FIRST_MESSAGE_TIME", 0.5)
    client = connect(serving)
    with greeted(port_of(serving)) as peer:
        peer.sendall(b"\x00\x05he")
        assert ended(peer, 5.0)
    assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()
