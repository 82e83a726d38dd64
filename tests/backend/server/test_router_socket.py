"""Peers that ask and do not read: the memory of their answers is limited, and they do not harm those that read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import zmq

from backend.server import router_socket
from backend.server.front import Front
from backend.server.router_socket import BULK_HIGH_WATER, RouterSocket
from protocol.address import parse_bind
from protocol.messages import Chunk, Heartbeat
from protocol.wire import encode

MIB = 1 << 20
RANGE = np.zeros(MIB, np.uint8)
CHUNK = Chunk("a" * 64, 0)
PATIENCE = 10.0


class Peers:
    """A socket behind a front, clients of it, and those that it gave up."""

    def __init__(self) -> None:
        self.lost: list[bytes] = []
        self.context = zmq.Context()
        self.front = Front(100, lambda: None)
        self.router = RouterSocket(
            self.context, self.front, parse_bind("tcp://127.0.0.1:*"), self.lost.append, high_water=BULK_HIGH_WATER
        )
        self.front.start()
        self.clients: dict[bytes, zmq.Socket] = {}

    def connect(self, *names: bytes) -> None:
        for name in names:
            client = self.clients[name] = self.context.socket(zmq.DEALER)
            client.setsockopt(zmq.ROUTING_ID, name)
            client.setsockopt(zmq.RCVBUF, 4096)
            client.rcvhwm, client.linger = 1, 0
            client.connect(str(self.router.address))
            client.send_multipart(encode(Heartbeat()))
        known: set[bytes] = set()
        until(lambda: known.update(each.peer for each in self.router.receive(100)) or known >= set(names))

    def close(self) -> None:
        for client in self.clients.values():
            client.close(0)
        self.router.close()
        self.front.close()
        self.context.destroy(0)


@pytest.fixture
def peers() -> Iterator[Peers]:
    made = Peers()
    yield made
    made.close()


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_ranges_for_peers_that_do_not_read_share_a_limit(peers: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router_socket, "SHARED", 4 * MIB)
    names = [b"%d" % number for number in range(8)]
    peers.connect(*names)
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < 0.3:
        peers.router.flush()
        for name in filter(peers.router.takes, names):
            peers.router.send(name, CHUNK, [RANGE])
            quiet_since = time.monotonic()
    assert peers.router.unsent() <= (4 + len(names)) * MIB
    assert not peers.lost

    # One that reads still gets its file.
    peers.connect(b"reads")
    for _ in range(8):
        until(lambda: peers.router.flush() or peers.router.takes(b"reads"))
        peers.router.send(b"reads", CHUNK, [RANGE])
        peers.clients[b"reads"].recv_multipart()


def test_the_peer_that_has_not_read_for_the_longest_time_is_dropped(
    peers: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router_socket, "MAX_UNSENT", 8 * MIB)
    peers.connect(b"first", b"second", b"reads")
    for name in (b"first", b"second"):
        before = peers.router.unsent()
        full_since = time.monotonic()
        while time.monotonic() - full_since < 0.3:  # the system's buffers take some, and grow
            if peers.router.unsent() - before < 3 * MIB:
                peers.router.send(name, CHUNK, [RANGE])
                full_since = time.monotonic()
    while not peers.lost:
        peers.router.send(b"reads", CHUNK, [RANGE])
        peers.clients[b"reads"].recv_multipart()
        peers.router.send(b"second", CHUNK, [RANGE])
    assert peers.lost == [b"first"]
    assert peers.router.unsent() <= 8 * MIB
