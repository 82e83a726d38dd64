"""Attacks by handshakes of CurveZMQ: in part, repeated, in great numbers, and with unknown keys."""

from __future__ import annotations

import contextlib
import random
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import zmq

from bench.attacks.serving import attached, attack, paired
from bench.chaos import Attacked, write_scene
from protocol.messages import Heartbeat
from protocol.pairing import Pairing
from protocol.wire import encode
from tests.backend.server.client import Client
from tests.backend.server.relay import relay

GREETING, HELLO = 64, 64 + 202
"""Bytes that a client has sent when its greeting and its HELLO command are complete."""
PATIENCE = 20.0


def _recorded(server: Attacked, key: Pairing) -> bytes:
    """Return what a client sends until it has its session."""
    with relay(server.address) as between, Client(between.address, pairing=key):
        return b"".join(between.sent)


def _sent(port: int, data: bytes) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", port), 5)
    with contextlib.suppress(OSError):
        peer.sendall(data)
    peer.setblocking(False)
    return peer


def _is_open(peer: socket.socket) -> bool:
    try:
        while peer.recv(4096):
            pass
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


@contextlib.contextmanager
def _many_files(count: int) -> Iterator[None]:
    """Let this process open so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(count, hard)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _served_within(server: Attacked, key: Pairing, scene: Path) -> float:
    """Return how long a new client needs to connect and to send a folder."""
    begin = time.monotonic()
    with attached(server, key) as client:
        client.offer(scene)
    return time.monotonic() - begin


@attack
def handshakes_that_stop(place: Path) -> str:
    """Connections that stop at every part of the handshake, and say nothing more."""
    with paired(place, "hostile", "honest") as (server, keys):
        whole = _recorded(server, keys[0])
        stops = [*range(1, len(whole), 5), GREETING, HELLO]
        peers = [_sent(server.port, whole[:stop]) for stop in stops]
        waited = _served_within(server, keys[1], write_scene(place / "scene", "done"))
        end = time.monotonic() + PATIENCE
        while (left := sum(map(_is_open, peers))) and time.monotonic() < end:
            time.sleep(0.1)
        assert not left, f"{left} connections are open after {PATIENCE:.0f} s"
        return f"{len(peers)} connections, all closed; a new client was served after {waited:.1f} s"


@attack
def handshakes_that_are_repeated(place: Path) -> str:
    """A recorded handshake, and its parts many times and in another order."""
    with paired(place, "hostile", "honest") as (server, keys):
        whole = _recorded(server, keys[0])
        greeting, hello, rest = whole[:GREETING], whole[GREETING:HELLO], whole[HELLO:]
        variants = [whole, whole * 3, greeting + hello * 500, greeting + rest, greeting + rest + hello, greeting * 50]
        order = random.Random(0)
        end, count = time.monotonic() + 6.0, 0
        while time.monotonic() < end:
            peers = [_sent(server.port, order.choice(variants)) for _ in range(50)]
            count += len(peers)
            for peer in peers:
                peer.close()
        waited = _served_within(server, keys[1], write_scene(place / "scene", "done"))
        return f"{count} connections; a new client was served after {waited:.1f} s"


@attack
def three_thousand_open_handshakes(place: Path) -> str:
    """Connections that stop after their greeting or their HELLO, opened again when they are closed."""
    with _many_files(4096), paired(place, "hostile", "honest") as (server, keys):
        whole = _recorded(server, keys[0])
        scene = write_scene(place / "scene", "done")
        peers: list[socket.socket] = []
        made, slowest, end = 0, 0.0, time.monotonic() + 12.0
        while time.monotonic() < end:
            for peer in [each for each in peers if not _is_open(each)]:
                peers.remove(peer)
                peer.close()
            for _ in range(min(300, 3000 - len(peers))):
                with contextlib.suppress(OSError):
                    peers.append(_sent(server.port, whole[: (GREETING, HELLO)[made % 2]]))
                made += 1
            slowest = max(slowest, _served_within(server, keys[1], scene))
        for peer in peers:
            peer.close()
        return f"{made} connections; the slowest new client was served after {slowest:.1f} s"


@attack
def clients_with_unknown_keys(place: Path) -> str:
    """A hundred clients that are not paired, and try again at once."""
    with paired(place, "hostile", "honest") as (server, keys):
        context = zmq.Context()
        for _ in range(100):
            one = context.socket(zmq.DEALER)
            one.linger, one.reconnect_ivl = 0, 1
            one.curve_publickey, one.curve_secretkey = zmq.curve_keypair()
            one.curve_serverkey = keys[0].server.encode()
            one.connect(server.address)
            one.send_multipart(encode(Heartbeat(), id=1))
        begin = server.seconds_used()
        slowest, end, count = 0.0, time.monotonic() + 8.0, 0
        while time.monotonic() < end:
            slowest = max(slowest, _served_within(server, keys[1], write_scene(place / f"scene{count}", "done")))
            count += 1
        used = server.seconds_used() - begin
        context.destroy(linger=0)
        return f"{count} new clients were served, the slowest after {slowest:.1f} s; the server used {used:.1f} s"
