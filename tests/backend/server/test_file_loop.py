"""Work on files holds up nobody else: not a slow disk, nor a large manifest, nor a client that reads nothing."""

from __future__ import annotations

import time

import pytest

from backend.server.router_socket import BULK_HIGH_WATER
from backend.server.uploads import ALL_UPLOADS, MAX_GETS
from protocol.errors import Refused, Unavailable
from protocol.manifest import digest_of, pack_manifest
from protocol.messages import Chunk, Error, FileEntry, Get, Heartbeat, Jobs, Message, Offer, Status
from protocol.store import Store, read_manifest
from tests.backend.server.client import Client

MIB = 1 << 20


def longest_answer(client: Client, until) -> float:
    """Ask for the status until something has happened; return the seconds of the slowest answer."""
    slowest = 0.0
    end = time.monotonic() + 20.0
    while not until():
        assert time.monotonic() < end
        begin = time.monotonic()
        client.ask(Status(), Jobs)
        slowest = max(slowest, time.monotonic() - begin)
    return slowest


def test_a_slow_disk_does_not_hold_up_the_control_socket(serving, connect, scene, monkeypatch):
    read = Store.read

    def slow(self, *range):
        time.sleep(0.5)
        return read(self, *range)

    client, other = connect(serving), connect(serving)
    manifest, _ = client.offer(scene("write out 1", "done", big=MIB))
    monkeypatch.setattr(Store, "read", slow)
    client.send(Get(manifest, 0, 1), client.bulk)
    assert client.bulk is not None
    assert longest_answer(other, lambda: client.bulk.poll(0)) < 0.3


def test_a_large_manifest_is_checked_while_others_are_served(serving, connect):
    client, other = connect(serving), connect(serving)
    entries = [FileEntry(f"folder{number % 1000}/{number}", 0, digest_of(b"")) for number in range(40_000)]
    entries.append(FileEntry("FOLDER1/1", 0, digest_of(b"")))
    content = pack_manifest(entries)
    client.send(Offer(digest_of(content), len(content)), client.bulk)
    assert client.bulk is not None
    for _ in range(-(-len(content) // MIB)):
        get, _, id = client.receive(client.bulk)
        assert isinstance(get, Get)
        client.send_chunk(get.digest, get.offset, content[get.offset : get.offset + get.length], id)
    assert longest_answer(other, lambda: client.bulk.poll(0)) < 0.3
    answer, _, _ = client.receive(client.bulk)
    assert isinstance(answer, Error)
    assert "the same path twice" in answer.sentence


def test_a_client_that_reads_nothing_holds_little(serving, connect, scene, monkeypatch):
    """Ranges are read from the disk when they can be sent, not when they are asked for."""
    reads = []
    read = Store.read
    monkeypatch.setattr(Store, "read", lambda self, *range: reads.append(1) or read(self, *range))
    client = connect(serving, receive_high_water=1)
    folder = scene("write out 1", "done", big=MIB)
    manifest, _ = client.offer(folder)
    entries = {entry.path: entry for entry in read_manifest(serving.server.store, manifest)}
    reads.clear()
    digest = entries["images/big"].digest
    for _ in range(MAX_GETS):
        client.send(Get(digest, 0, MIB), client.bulk)
    time.sleep(1.5)
    # What the system holds of the connections to and from the front comes on top of the pipe and of one that waits.
    assert len(reads) < BULK_HIGH_WATER + 40
    for _ in range(MAX_GETS):
        message, arrays, _ = client.receive(client.bulk)
        assert isinstance(message, Chunk)
        assert arrays[0].nbytes == MIB
    assert len(reads) == MAX_GETS


def test_too_many_ranges_are_refused(serving, connect, scene, monkeypatch):
    client = connect(serving)
    manifest, _ = client.offer(scene("write out 1", "done"))
    monkeypatch.setattr("backend.server.uploads.MAX_GETS", 0)
    with pytest.raises(Refused, match="already waiting"):
        client.ask(Get(manifest, 0, 1), Message, client.bulk)


def test_too_many_uploads_of_all_clients(serving, connect, monkeypatch):
    monkeypatch.setattr("backend.server.uploads.CLIENT_UPLOADS", ALL_UPLOADS + 1)
    clients = [connect(serving) for _ in range(ALL_UPLOADS // 4)]
    for number, client in enumerate(clients):
        for digit in range(4):
            client.send(Offer(f"{number * 4 + digit:064x}", 10), client.bulk)
            client.receive(client.bulk)
    late = connect(serving)
    with pytest.raises(Unavailable, match=r"already has \d+ uploads"):
        late.ask(Offer("f" * 64, 10), Message, late.bulk)
    assert clients[0].ask(Heartbeat(), Heartbeat) == Heartbeat()
