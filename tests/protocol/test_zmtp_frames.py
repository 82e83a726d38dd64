"""What a peer sends is counted as what the server then receives."""

from __future__ import annotations

import random
import struct

import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import BadFrames
from protocol.zmtp_frames import FRAME_COST, MAX_COMMAND, SEAL, FrameCounter, cost

LONGEST = 1 << 20
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
PING = b"\x04\x07\x04PING\x00\x00"


def greeting(mechanism: bytes = b"NULL", version: int = 3) -> bytes:
    return b"\xff" + bytes(8) + b"\x7f" + bytes([version, 1]) + mechanism.ljust(20, b"\0") + bytes(32)


def frame(data: bytes, *, more: bool = False) -> bytes:
    if len(data) > 255:
        return bytes([2 | more]) + struct.pack(">Q", len(data)) + data
    return bytes([more, len(data)]) + data


def fed(data: bytes, *cuts: int) -> FrameCounter:
    counter = FrameCounter()
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        counter.feed(memoryview(data)[begin:end])
    return counter


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(0, 700), min_size=1, max_size=30),
    cuts=st.lists(st.integers(0, 3000), max_size=12),
    pings=st.integers(0, 3),
)
def test_the_count_is_that_of_the_received_frames_however_the_bytes_come(lengths, cuts, pings):
    data = greeting() + READY + PING * pings
    data += b"".join(frame(bytes(length), more=index % 3 > 0) for index, length in enumerate(lengths))
    data += PING * pings
    assert fed(data, *(min(cut, len(data)) for cut in cuts)).cost == cost(lengths)


def test_what_curve_adds_is_not_counted():
    counter = fed(greeting(b"CURVE") + frame(bytes(SEAL + 100)) + frame(bytes(SEAL)) + frame(bytes(7)))
    assert counter.encrypted
    assert counter.cost == 100 + 3 * FRAME_COST


def test_the_count_of_libzmq_itself():
    """Bytes that a DEALER sends through a plain TCP connection, in the clear."""
    import socket

    rng = random.Random(1)
    with socket.create_server(("127.0.0.1", 0)) as listener, zmq.Context() as context:
        dealer = context.socket(zmq.DEALER)
        dealer.linger = 0
        dealer.heartbeat_ivl = 50
        dealer.connect(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        peer, _ = listener.accept()
        with peer:
            peer.sendall(greeting() + READY.replace(b"DEALER", b"ROUTER"))
            messages = [[rng.randbytes(rng.choice([0, 5, 255, 256, 5000])) for _ in range(3)] for _ in range(20)]
            for message in messages:
                dealer.send_multipart(message)
            wanted = sum(cost([len(each) for each in message]) for message in messages)
            counter = FrameCounter()
            peer.settimeout(5.0)
            while counter.cost < wanted:
                counter.feed(memoryview(peer.recv(777)))
            assert counter.cost == wanted
        dealer.close()


BAD = {
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "no end of the signature": b"\xff" + bytes(9),
    "ZMTP 2": greeting(version=1),
    "a flag that there is not": greeting() + b"\x08\x00",
    "a frame too long": greeting() + b"\x02" + struct.pack(">Q", LONGEST + 1),
    "a frame of exabytes": greeting() + b"\x03" + b"\xff" * 8,
    "a long command": greeting() + b"\x06" + struct.pack(">Q", MAX_COMMAND + 1) + READY[2:],
    "a subscription": greeting() + READY + b"\x04\x0d\x09SUBSCRIBExyz",
    "a command without a name": greeting() + READY + b"\x04\x00",
}


@pytest.mark.parametrize("case", BAD)
def test_what_no_client_sends_is_refused(case):
    with pytest.raises(BadFrames):
        fed(BAD[case])
    with pytest.raises(BadFrames):
        fed(BAD[case], *range(1, len(BAD[case])))


def test_a_signature_is_known_before_the_greeting_is_whole():
    assert not fed(greeting()[:9]).signed
    assert fed(greeting()[:10]).signed
    assert fed(greeting()).signed
