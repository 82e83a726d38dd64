"""The protocol between a server and its processes that answer questions about results.

The server writes one question per line, as JSON, or the withdrawal of one. A reply is its length in four bytes,
little-endian, followed by that many bytes of msgpack. The last reply to a question is its answer; replies before it are
:class:`Working`.
"""

from __future__ import annotations

import msgspec

from protocol.field_types import Digest
from protocol.messages import (
    Correct,
    Corrected,
    Error,
    Matches,
    Named,
    NameObjects,
    Select,
    Selected,
    SelectText,
    Working,
)

MAX_REPLY = 16 << 20
LENGTH = 4

Wanted = Select | SelectText | NameObjects | Correct
"""What a client can ask about a result."""
Said = Selected | Matches | Named | Corrected | Working | Error


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="question"):
    """A question about the stored result whose manifest has hash ``manifest``.

    Attributes:
        newest: hash of the manifest of the newest version of that result.
        scene: hash of the manifest of its scene; the store may lack it.
        arrays: bytes of the arrays of the message ``wanted``.
    """

    number: int
    manifest: Digest
    wanted: Wanted
    newest: Digest
    scene: Digest
    arrays: list[bytes] = []


class Withdrawal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="withdrawal"):
    """The client that asked the question ``number`` waits no longer. The question is still answered, with anything."""

    number: int


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sent to the client that asked the question ``number``.

    Attributes:
        data: the bytes of the message's arrays; the server divides them into arrays that fit into frames.
    """

    number: int
    said: Said
    data: bytes = b""


_line = msgspec.json.Decoder(Question | Withdrawal, strict=True)
_reply = msgspec.msgpack.Decoder(Reply, strict=True)


def pack_line(line: Question | Withdrawal) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def unpack_line(line: bytes) -> Question | Withdrawal:
    return _line.decode(line)


def pack_reply(reply: Reply) -> bytes:
    body = msgspec.msgpack.encode(reply)
    return len(body).to_bytes(LENGTH, "little") + body


def take_reply(buffer: bytearray) -> Reply | None:
    """Remove the first complete reply from the buffer and return it, or return None.

    Raises:
        ValueError: if the buffer does not contain a reply.
    """
    if len(buffer) < LENGTH:
        return None
    end = LENGTH + int.from_bytes(buffer[:LENGTH], "little")
    if end > MAX_REPLY:
        raise ValueError(f"a reply of {end} bytes")
    if len(buffer) < end:
        return None
    reply = _reply.decode(bytes(buffer[LENGTH:end]))
    del buffer[:end]
    return reply
