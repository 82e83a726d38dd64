from __future__ import annotations

import json
import tracemalloc
from typing import get_args

import numpy as np
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from protocol import errors
from protocol.errors import BadFrames, Fault, VersionMismatch
from protocol.messages import (
    MAJOR,
    Cancel,
    Chunk,
    Error,
    Get,
    Heartbeat,
    Hello,
    JobInfo,
    Jobs,
    Message,
    Progress,
)
from protocol.wire import DTYPES, MAX_ARRAY, MAX_ARRAYS, MAX_HEADER, Dtype, decode, encode
from tests.protocol.messages_of import KINDS, any_message, messages

JOB = "0123456789abcdef" * 2
DIGEST = "0123456789abcdef" * 4

arrays = st.lists(
    hnp.arrays(st.sampled_from(sorted(DTYPES)).map(np.dtype), hnp.array_shapes(min_dims=0, min_side=0, max_side=5)),
    max_size=MAX_ARRAYS,
)


# What goes over and comes back


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(deadline=None, max_examples=20)
@given(data=st.data(), number=st.integers(0, 2**53))
def test_every_message_comes_back_as_it_went(kind: type[Message], data: st.DataObject, number: int):
    message = data.draw(messages(kind))
    assert decode(encode(message, id=number)) == (message, [], number)


def test_every_message_class_is_in_the_union():
    assert set(KINDS) == set(Message.__subclasses__())


@settings(deadline=None)
@given(sent=arrays)
def test_arrays_come_back_bit_for_bit(sent: list[np.ndarray]):
    _, received, _ = decode(encode(Heartbeat(), sent))
    assert len(received) == len(sent)
    for there, here in zip(sent, received, strict=True):
        assert (here.dtype, here.shape) == (there.dtype, there.shape)
        assert here.tobytes() == there.tobytes()
        assert not here.flags.writeable


@pytest.mark.parametrize("dtype", get_args(Dtype))
def test_arrays_of_another_byte_order_or_layout_arrive_in_order(dtype: str):
    values = np.arange(24).reshape(4, 6).astype(dtype)
    for sent in (values.astype(values.dtype.newbyteorder(">")), np.asfortranarray(values), values[::2, ::-1]):
        (received,) = decode(encode(Heartbeat(), [sent]))[1]
        assert received.dtype == np.dtype(dtype)
        assert np.array_equal(received, sent)


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, zmq.Frame, lambda frame: zmq.Frame(frame).buffer])
def test_frames_may_be_any_buffer(wrap):
    frames = [wrap(frame) for frame in encode(Chunk(DIGEST, 7), [np.arange(9, dtype=np.uint8)], id=3)]
    message, (received,), number = decode(frames)
    assert (message, number) == (Chunk(DIGEST, 7), 3)
    assert received.tolist() == list(range(9))
    assert not received.flags.writeable


def test_a_full_chunk_fits():
    frames = encode(Chunk(DIGEST, 0), [np.zeros(MAX_ARRAY, np.uint8)])
    assert decode(frames)[1][0].nbytes == MAX_ARRAY


def test_frames_pass_through_zeromq():
    with zmq.Context() as context, context.socket(zmq.PAIR) as left, context.socket(zmq.PAIR) as right:
        left.bind("inproc://wire")
        right.connect("inproc://wire")
        left.send_multipart(encode(Chunk(DIGEST, 0), [np.arange(1000, dtype=np.uint8)]), copy=False)
        message, (received,), _ = decode(right.recv_multipart(copy=False))  # pyright: ignore[reportArgumentType]
        assert message == Chunk(DIGEST, 0)
        assert np.array_equal(received, np.arange(1000, dtype=np.uint8))


# What is refused on arrival


def frames(header: dict | bytes | None = None, *rest: bytes, **changes: object) -> list[bytes]:
    """The frames of a heartbeat whose header has these ``changes``; or of quite another header."""
    whole = {"v": MAJOR, "id": 0, "message": {"type": "heartbeat"}, "arrays": [], **changes}
    first = header if isinstance(header, bytes) else json.dumps(whole if header is None else header).encode()
    return [first, *rest]


def array(dtype: str, *shape: int) -> dict:
    return {"dtype": dtype, "shape": list(shape)}


def message(kind: str, **fields: object) -> list[bytes]:
    return frames(message={"type": kind, **fields})


# Name, the frames, the sentence that goes back to whoever sent them.
BAD_FRAMES: dict[str, tuple[list[bytes], str]] = {
    "no frames": ([], "message has 0 frames; 1 to 9 are allowed"),
    "ten frames": ([b"{}"] * 10, "message has 10 frames"),
    "an empty header": ([b""], "header is not valid JSON of this protocol"),
    "an oversize header": ([b" " * (MAX_HEADER + 1)], f"header has {MAX_HEADER + 1} bytes"),
    "no JSON": ([b"GET / HTTP/1.1\r\n"], "not valid JSON of this protocol: JSON is malformed"),
    "no object": ([b"[1]"], "Expected `object`, got `array`"),
    "no version": ([b'{"id": 0}'], "missing required field `v`"),
    "a version in words": (frames(v="one"), "Expected `int`, got `str`"),
    "an endless version": ([b'{"v": ' + b"9" * 5000 + b"}"], "not valid JSON of this protocol"),
    "bytes that are no UTF-8": (
        frames(b'{"v":%d,"id":0,"message":{"type":"\xff"}}' % MAJOR),
        "(?i)utf-8",
    ),
    "half a surrogate": (
        frames(b'{"v":%d,"id":0,"message":{"type":"\\ud800"}}' % MAJOR),
        "header is not valid JSON",
    ),
    "bottomless JSON": (frames(b'{"v":%d,"x":' % MAJOR + b"[" * 60_000), "recursion"),
    "a negative id": (frames(id=-1), r"Expected `int` >= 0 - at `\$.id`"),
    "an unknown message": (message("explode"), "message is not part of this protocol: .* 'explode'"),
    "an unknown field": (message("heartbeat", load="__import__('os')"), "unknown field `load`"),
    "an unknown header field": (frames(pickle="gASV"), "unknown field `pickle`"),
    "a missing field": (message("cancel"), "missing required field `job`"),
    "a field of another type": (message("cancel", job=7), "Expected `str`, got `int`"),
    "a job that is a path": (message("cancel", job="../../etc/passwd"), "Expected `str` matching regex"),
    "a job with a line end": (message("cancel", job=JOB + "\n"), "Expected `str` matching regex"),
    "a range beyond a chunk": (message("get", digest=DIGEST, offset=0, length=2**20 + 1), "Expected `int` <= 1048576"),
    "a range before the file": (message("get", digest=DIGEST, offset=-1, length=1), "Expected `int` >= 0"),
    "an array that is missing": (frames(arrays=[array("uint8", 1)]), "lists 1 arrays, but 0 frames followed"),
    "an array too many": (frames(None, b"1"), "lists 0 arrays, but 1 frames followed"),
    "nine arrays": (frames(None, *[b""] * 8, arrays=[array("uint8", 0)] * 9), "Expected `array` of length <= 8"),
    "objects": (frames(None, b"12345678", arrays=[array("object", 1)]), "Invalid enum value 'object'"),
    "a negative length": (frames(None, b"", arrays=[array("uint8", -1)]), "Expected `int` >= 0"),
    "nine dimensions": (frames(None, b"1", arrays=[array("uint8", *[1] * 9)]), "Expected `array` of length <= 8"),
    "a shape beyond its bytes": (
        frames(None, b"1234", arrays=[array("float32", 2**40, 2**40)]),
        r"array has 4 bytes, but float32 of shape \[1099511627776, 1099511627776\]",
    ),
    "bytes beyond their shape": (frames(None, b"12345", arrays=[array("float32", 1)]), "array has 5 bytes"),
    "an oversize array": (frames(None, bytes(2**20 + 1), arrays=[array("uint8", 2**20 + 1)]), r"\(limit 1048576\)"),
    "nothing of great extent": (frames(None, b"", arrays=[array("uint8", 0, 2**40, 2**40)]), "array has 0 bytes"),
}


@pytest.mark.parametrize("name", BAD_FRAMES)
def test_bad_frames_are_refused_with_a_sentence_and_cost_nothing(name: str):
    received, sentence = BAD_FRAMES[name]
    tracemalloc.start()
    try:
        with pytest.raises(BadFrames, match=sentence) as caught:
            decode(received)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.sentence.endswith(".")
    assert peak < 1 << 20
    fault = caught.value
    assert decode(encode(Error(fault.code, fault.sentence, fault.remedy)))[0]


@pytest.mark.parametrize("theirs", [0, MAJOR - 1, MAJOR + 1, -1, 10**30])
def test_another_version_is_named_beside_ours(theirs: int):
    header = {"v": theirs, "whatever": "a later version says"}
    with pytest.raises(VersionMismatch, match=f"uses protocol {theirs}, this side uses protocol {MAJOR}"):
        decode([json.dumps(header).encode()])


@settings(deadline=None, max_examples=300)
@given(whole=any_message, sent=arrays, data=st.data())
def test_mangled_frames_raise_nothing_but_bad_frames(whole: Message, sent: list[np.ndarray], data: st.DataObject):
    mangled = [bytearray(frame) for frame in encode(whole, sent)]
    for _ in range(data.draw(st.integers(1, 4))):
        frame = data.draw(st.sampled_from(mangled))
        at = data.draw(st.integers(0, len(frame)))
        piece = st.binary(max_size=4) | st.sampled_from([b'"', b"{", b"]", b"0", b"9" * 30, b"-", b"null", b"\\ud8"])
        frame[at : at + data.draw(st.integers(0, 6))] = data.draw(piece)
    mangled = data.draw(st.permutations(mangled)) if data.draw(st.booleans()) else mangled
    mangled = mangled[: data.draw(st.integers(0, len(mangled)))] if data.draw(st.booleans()) else mangled
    try:
        decode(mangled)
    except (BadFrames, VersionMismatch) as fault:
        encode(Error(fault.code, fault.sentence[:2000], fault.remedy))


@given(garbage=st.lists(st.binary(max_size=100), max_size=11))
def test_garbage_raises_nothing_but_bad_frames(garbage: list[bytes]):
    with pytest.raises((BadFrames, VersionMismatch)):
        decode(garbage)


# What is not sent

BAD_MESSAGES: dict[str, tuple[Message, list[np.ndarray], str]] = {
    "nine arrays": (Heartbeat(), [np.zeros(1, np.uint8)] * 9, "Heartbeat has more than 8 arrays"),
    "an oversize array": (Heartbeat(), [np.zeros(2**20 + 1, np.uint8)], "array of more than 1048576 bytes"),
    "nine dimensions": (Heartbeat(), [np.zeros([1] * 9)], "has more than"),
    "objects": (Heartbeat(), [np.array([{}])], "array of type object, which the protocol does not support"),
    "truth values": (Heartbeat(), [np.zeros(1, bool)], "array of type bool, which the protocol does not support"),
    "a long name": (Hello((1, 0), "x" * 201), [], "Hello has a field .*Expected `str` of length <= 200"),
    "a long range": (Get(DIGEST, 0, 2**20 + 1), [], "Get has a field .*Expected `int` <= 1048576"),
    "no fraction": (Progress(JOB, 1, "running", fraction=float("nan")), [], "Expected `float`, got `null`"),
    "an invalid hash": (Chunk("x", 0), [], "Chunk has a field with an invalid value"),
    "a number beyond JSON": (Cancel(2**200), [], "Cancel has a field"),  # pyright: ignore[reportArgumentType]
    "half a surrogate": (Hello((1, 0), "\udcff"), [], "Hello has a field"),
    "a long list": (
        Jobs([JobInfo(JOB, "t" * 200, "done", "s" * 200, 1.0, 0.0)] * 200),
        [],
        "Jobs has a header of .* bytes; at most 65536 are allowed",
    ),
}


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_the_sender_keeps_the_limits_too(name: str):
    sent, with_arrays, sentence = BAD_MESSAGES[name]
    with pytest.raises(BadFrames, match=sentence):
        encode(sent, with_arrays)


# Faults


@given(sentence=st.text(max_size=50), remedy=st.text(max_size=50))
def test_a_fault_of_any_text_can_cross_the_wire(sentence: str, remedy: str):
    text = sentence + "\udcff"
    fault = Fault(text, remedy)
    received = decode(encode(Error(fault.code, fault.sentence, fault.remedy)))[0]
    assert isinstance(received, Error)
    again = errors.fault(received.code, received.sentence, received.remedy)
    assert (type(again), again.sentence, again.remedy) == (Fault, fault.sentence, fault.remedy)


def test_every_fault_has_a_code_of_its_own():
    assert len(errors.BY_CODE) == 1 + len(Fault.__subclasses__())
    for code, kind in errors.BY_CODE.items():
        assert type(errors.fault(code, "Something.")) is kind
    assert type(errors.fault("of-a-later-version", "Something.")) is Fault
