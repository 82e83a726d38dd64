"""Attacks by connections: many, slow, half closed, or of another protocol."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from pathlib import Path

import zmq

from bench.attacks.serving import (
    alive,
    attack,
    plain,
)
from bench.chaos import GREETING, READY
from protocol.messages import (
    Hello,
)
from protocol.wire import encode
from tests.backend.server.client import Client


def _from_address(host: str, port: int) -> socket.socket:
    peer = socket.socket()
    peer.settimeout(2)
    peer.bind((host, 0))
    peer.connect(("127.0.0.1", port))
    peer.sendall(GREETING)
    return peer


@attack
def greetings_from_600_addresses(place: Path) -> str:
    with plain(place) as server, Client(server.address) as honest:
        alive(honest)
        held = []
        with contextlib.suppress(OSError):
            for number in range(600):
                held.append(_from_address(f"127.0.{1 + number // 200}.{1 + number % 200}", server.port))
        ended = False
        try:
            alive(honest)
        except TimeoutError:
            ended = True
        for one in held:
            one.close()
        assert not ended, "the connection of an honest client was closed"
        return f"{len(held)} connections, the honest client kept its own"


@attack
def kinds_of_sockets(place: Path) -> str:
    with plain(place) as server:
        context = zmq.Context()
        for kind in (zmq.REQ, zmq.SUB, zmq.XSUB, zmq.PUB, zmq.XPUB, zmq.PUSH, zmq.PULL, zmq.PAIR, zmq.ROUTER, zmq.REP):
            one = context.socket(kind)
            one.linger = 0
            if kind == zmq.SUB:
                one.setsockopt(zmq.SUBSCRIBE, b"x" * 200)
            one.connect(server.address)
            with contextlib.suppress(zmq.ZMQError):
                for _ in range(50):
                    one.send(b"x", zmq.NOBLOCK)
        time.sleep(1.0)
        context.destroy(linger=0)
        return "10 kinds"


@attack
def greetings_of_other_protocols(place: Path) -> str:
    signature = b"\xff" + bytes(8) + b"\x7f"
    variants = [
        signature + b"\x00" + b"\x05",
        signature + b"\x01" + b"\x05",
        signature + b"\x02",
        signature + b"\xff\xff" + bytes(52),
        signature + b"\x03\x01" + b"PLAIN".ljust(20, b"\0") + b"\1" + bytes(31),
        signature + b"\x03\x01" + b"GSSAPI".ljust(20, b"\0") + bytes(32),
        signature + b"\x03\x01" + b"CURVE".ljust(20, b"\0") + b"\1" + bytes(31),
        signature + b"\x03\x01" + b"\xff" * 20 + bytes(32),
        signature + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(64),
        b"SSH-2.0-x\r\n",
        b"\x01\x00",
        os.urandom(64),
        GREETING + READY + b"\x04\xff" * 40,
        GREETING + b"\x06" + struct.pack(">Q", 2**63) + b"x",
        GREETING + b"\x02" + struct.pack(">Q", 2**64 - 1),
        GREETING + READY * 200,
        GREETING + READY + b"\x04\x06\x05ERROR" * 10,
        GREETING + READY + b"\x04\x0c\x09SUBSCRIBEx" * 200,
        GREETING + b"\x04\x0a\x05READY\xff\xff\xff\xff",
        GREETING + b"\x04\x29\x05READY\x0bSocket-Type\x7f\xff\xff\xff" + b"A" * 20,
        GREETING + b"\x00\x05hello",
        READY,
    ]
    with plain(place) as server:
        for one in variants:
            for _ in range(3):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 2) as peer:
                    peer.sendall(one)
                    peer.settimeout(0.05)
                    peer.recv(4096)
        return f"{len(variants)} greetings"


@attack
def one_byte_a_second(place: Path) -> str:
    """Stop at each part of a connection: its greeting, READY, a frame's length, its content."""
    whole = GREETING + READY + b"\x02" + struct.pack(">Q", 1000) + b'{"v":2,'
    stops = (1, 9, 10, 12, 63, 64, 66, 70, len(GREETING + READY), len(GREETING + READY) + 4, len(whole))
    with plain(place) as server:
        peers = []
        for stop in stops:
            peer = socket.create_connection(("127.0.0.1", server.port), 2)
            peer.sendall(whole[:stop])
            peers.append(peer)
        begin, ends = time.monotonic(), {}
        while time.monotonic() - begin < 16 and len(ends) < len(peers):
            for number, peer in enumerate(peers):
                peer.settimeout(0.02)
                with contextlib.suppress(TimeoutError):
                    if number not in ends and _ended(peer):
                        ends[number] = time.monotonic() - begin
        left = [stops[number] for number in range(len(peers)) if number not in ends]
        assert not left, f"connections that stopped after {left} bytes are open after 16 s"
        return f"all closed after {max(ends.values()):.0f} s"


def _ended(peer: socket.socket) -> bool:
    try:
        return not peer.recv(4096)
    except ConnectionError:
        return True


@attack
def three_thousand_resets(place: Path) -> str:
    with plain(place) as server:
        for number in range(3000):
            with contextlib.suppress(OSError):
                peer = socket.create_connection(("127.0.0.1", server.port), 1)
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if number % 3:
                    peer.sendall((GREETING + READY)[: number % 100])
                peer.close()
        time.sleep(0.5)
        assert server.open_files() < 120, f"{server.open_files()} files open"
        return f"{server.open_files()} files open"


@attack
def half_closed_connections(place: Path) -> str:
    with plain(place) as server:
        held = []
        for number in range(200):
            peer = socket.create_connection(("127.0.0.1", server.port), 1)
            peer.sendall((GREETING + READY)[: 8 + number % 90])
            peer.shutdown(socket.SHUT_WR)
            held.append(peer)
        time.sleep(7.0)
        assert server.open_files() < 120, f"{server.open_files()} files open"
        return f"{server.open_files()} files open"


@attack
def flood_of_pings(place: Path) -> str:
    ping = b"\x04\x17\x04PING\x00\x0a" + b"c" * 16
    with plain(place) as server:
        peer = socket.create_connection(("127.0.0.1", server.port), 2)
        peer.sendall(GREETING + READY)
        peer.settimeout(0.1)
        end, sent = time.monotonic() + 5, 0
        with contextlib.suppress(OSError):
            while time.monotonic() < end:
                with contextlib.suppress(TimeoutError):
                    sent += peer.send(ping * 2000)
        return f"{sent / 1e6:.0f} MB sent"


@attack
def routing_ids(place: Path) -> str:
    """The id of a connected peer, ids that libzmq gives itself, and the longest one."""
    with plain(place) as server, Client(server.address, routing_id=b"victim") as victim:
        alive(victim)
        for id in (b"victim", b"\x00\x00\x00\x00\x01", b"\x00" * 255, b"x" * 255, b"\xff"):
            for _ in range(5):
                ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity" + struct.pack(">I", len(id)) + id
                head = b"\x04" + bytes([len(ready)]) if len(ready) < 256 else b"\x06" + struct.pack(">Q", len(ready))
                hello = bytes(encode(Hello((2, 2), "thief", ["proof"]), id=1)[0])
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 2) as peer:
                    peer.sendall(GREETING + head + ready + b"\x00" + bytes([len(hello)]) + hello)
                    peer.settimeout(0.2)
                    peer.recv(4096)
        alive(victim)
        return "the client kept its session"
