"""What somebody between a client and a server can do to an encrypted connection: end it, and nothing else.

Real sockets, CURVE, and a relay that flips, swaps and repeats bytes.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.job_request import JobRequest
from protocol.messages import MAJOR, MINOR, Heartbeat, Hello, Jobs, Status, Submit
from protocol.pairing import Pairing
from protocol.wire import encode
from tests.backend.server.client import Client
from tests.backend.server.relay import Relay, relay
from tests.backend.server.test_ownership import Shop

GREETING = 64
UNSECURED = {GREETING, GREETING + 202, *range(GREETING + 10, GREETING + 82)}
"""What means nothing in the client's HELLO and INITIATE: a flag of each frame, and the padding of the first
(https://rfc.zeromq.org/spec/26)."""
SOON = 3.0


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Iterator[Shop]:
    made = Shop(tmp_path_factory.mktemp("server") / "data")
    yield made
    made.close()


@pytest.fixture
def between(shop) -> Iterator[Relay]:
    with relay(shop.served.address) as made:
        yield made


@pytest.fixture
def manifest(shop, tmp_path) -> str:
    """A scene that anna has on the server."""
    (tmp_path / "scene").mkdir()
    (tmp_path / "scene" / "script").write_text("until-cancelled")
    return shop.client("anna").offer(tmp_path / "scene")[0]


def over(between: Relay, pairing: Pairing) -> Client:
    return Client(between.address, pairing=pairing)


def jobs(shop: Shop) -> list[str]:
    with Client(shop.served.address, pairing=shop.pairings["anna"]) as client:
        return [info.job for info in client.ask(Status(), Jobs).jobs]


def until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)


def hang_up(client: Client) -> None:
    client.control.close(0)


def submission(manifest: str) -> Submit:
    return Submit(uuid.uuid4().hex, "", manifest, JobRequest())


@pytest.mark.parametrize("who", ["unknown key", "wrong server key", "no key", "server key as its own"])
def test_who_has_not_the_keys_is_not_heard(shop, who):
    known = shop.pairings["anna"]
    stranger = zmq.curve_keypair()
    pairing = {
        "unknown key": Pairing(known.server, stranger[1].decode()),
        "wrong server key": Pairing(stranger[0].decode(), known.client),
        "no key": None,
        "server key as its own": Pairing(known.server, stranger[1].decode()),
    }[who]
    before = len(shop.served.server.sessions)
    with Client(shop.served.address, hello=False, pairing=pairing) as client:
        if who == "server key as its own":
            # The public key of a client is no secret; it is of no use without the secret one.
            client.pairing = Pairing(known.server, known.client)
            client.control.close(0)
            client.control = client.context.socket(zmq.DEALER)
            client.control.linger = 0
            client.control.curve_serverkey = known.server.encode()
            client.control.curve_publickey = zmq.curve_public(known.client.encode())
            client.control.curve_secretkey = stranger[1]
            client.control.connect(shop.served.address)
        client.send(Hello((MAJOR, MINOR), who))
        with pytest.raises(TimeoutError):
            client.receive(patience=0.8)
    assert len(shop.served.server.sessions) == before


def test_the_relay_passes_on_what_is_not_changed(shop, between):
    with over(between, shop.pairings["anna"]) as client:
        assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()
        sent = b"".join(between.sent)
        assert b"hello" not in sent
        assert b"heartbeat" not in sent


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_ends_the_connection(shop, between, manifest, where, bit):
    """Anywhere in a message, past its flags: in its length, its number or its content."""
    before = jobs(shop)

    def flip(piece: bytes, before: int) -> bytes:
        if len(piece) == 1:  # the flags alone: the relay reads what has arrived
            return piece
        at = 1 + where % (len(piece) - 1)
        return piece[:at] + bytes([piece[at] ^ (1 << bit)]) + piece[at + 1 :]

    with over(between, shop.pairings["anna"]) as client:
        between.change = flip
        client.send(submission(manifest))
        with pytest.raises(TimeoutError):
            client.receive(patience=0.3)
        between.change = lambda piece, before: piece
    assert jobs(shop) == before


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(GREETING, GREETING + 400).filter(lambda place: place not in UNSECURED), bit=st.integers(0, 7))
def test_a_bit_flipped_in_the_handshake_lets_nobody_in(shop, between, place, bit):
    """Not in the greeting: that says how both sides talk, and what is wrong in it means nothing or ends it."""

    def flip(piece: bytes, before: int) -> bytes:
        at = place - before
        return piece if not 0 <= at < len(piece) else piece[:at] + bytes([piece[at] ^ (1 << bit)]) + piece[at + 1 :]

    said = f"flipped {place} {bit}"
    between.change = flip
    with Client(between.address, pairing=shop.pairings["anna"], hello=False) as client:
        client.send(Hello((MAJOR, MINOR), said))
        with pytest.raises(TimeoutError):
            client.receive(patience=0.4)
    assert said not in {session.program for session in shop.served.server.sessions}


def test_a_message_that_is_repeated_is_not_heard_again(shop, between, manifest):
    with over(between, shop.pairings["anna"]) as client:
        client.ask(Heartbeat(), Heartbeat)
        between.sent.clear()
        job = client.submit(manifest).job
        once = b"".join(between.sent)
        client.cancel(job)
        before = jobs(shop)
        monitor = client.control.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        between.inject(once)
        assert monitor.poll(3000), "the server hangs up"
        client.control.disable_monitor()
    assert jobs(shop) == before


def test_a_connection_that_is_repeated_lets_nobody_in(shop, between, manifest):
    """All that a client has ever sent, sent again."""
    with over(between, shop.pairings["anna"]) as client:
        client.submit(manifest)
        recorded = list(between.sent)
    before = jobs(shop)
    sessions = {session.token for session in shop.served.server.sessions}
    with zmq.Context() as context, context.socket(zmq.STREAM) as raw:
        raw.linger = 0
        raw.connect(shop.served.address)
        peer, _ = raw.recv_multipart()
        for piece in recorded:
            raw.send_multipart([peer, piece])
            time.sleep(0.05)
        time.sleep(0.5)
        assert {session.token for session in shop.served.server.sessions} <= sessions
    assert jobs(shop) == before


def test_messages_in_another_order_are_not_heard(shop, between, manifest):
    """The second before the first: the first then comes too late."""
    held: list[bytes] = []

    def swap(piece: bytes, before: int) -> bytes:
        held.append(piece)
        return b"" if len(held) == 1 else held[1] + held[0] if len(held) == 2 else piece

    with over(between, shop.pairings["anna"]) as client:
        client.ask(Heartbeat(), Heartbeat)
        before = jobs(shop)
        between.change = swap
        first, second = submission(manifest), submission(manifest)
        client.control.send_multipart(encode(first, id=90))
        until(lambda: len(held) == 1)
        client.control.send_multipart(encode(second, id=91))
        until(lambda: len(held) >= 2)
        time.sleep(0.5)
        between.change = lambda piece, before: piece
    assert first.job not in jobs(shop)
    assert set(jobs(shop)) <= {*before, second.job}


def test_others_are_served_meanwhile(shop, between, manifest):
    ben = shop.client("ben")
    with over(between, shop.pairings["anna"]) as client:
        between.change = lambda piece, before: piece[::-1]
        client.send(Status())
        began = time.monotonic()
        assert ben.ask(Status(), Jobs).jobs == []
        assert time.monotonic() - began < 2.0


def test_a_wire_in_the_clear_shows_the_difference(serving, connect, tmp_path: Path):
    """What the tests above would miss if the relay changed nothing."""
    client = connect(serving)
    with relay(serving.address) as between:
        other = Client(between.address, hello=False)
        other.control.send_multipart(encode(Heartbeat(), id=3))
        until(lambda: b"heartbeat" in b"".join(between.sent))
        other.close()
    client.ask(Heartbeat(), Heartbeat)
