"""The protocol between a server and its selection process.

The server writes one question per line, as JSON. An answer is its length in four bytes, little-endian, followed by that
many bytes of msgpack.
"""

from __future__ import annotations

import msgspec

from protocol.field_types import Digest
from protocol.messages import Error, Select

MAX_ANSWER = 16 << 20
LENGTH = 4


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question about the stored result whose manifest has hash ``manifest``."""

    number: int
    manifest: Digest
    select: Select


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answer to the question ``number``: a selection as in :class:`protocol.messages.Selected`, or an error."""

    number: int
    total: int = 0
    count: int = 0
    label: int | None = None
    bits: bytes = b""
    error: Error | None = None


_question = msgspec.json.Decoder(Question, strict=True)
_answer = msgspec.msgpack.Decoder(Answer, strict=True)


def pack_question(question: Question) -> bytes:
    return msgspec.json.encode(question) + b"\n"


def unpack_question(line: bytes) -> Question:
    return _question.decode(line)


def pack_answer(answer: Answer) -> bytes:
    body = msgspec.msgpack.encode(answer)
    return len(body).to_bytes(LENGTH, "little") + body


def take_answer(buffer: bytearray) -> Answer | None:
    """Remove the first complete answer from the buffer and return it, or return None.

    Raises:
        ValueError: if the buffer does not contain an answer.
    """
    if len(buffer) < LENGTH:
        return None
    end = LENGTH + int.from_bytes(buffer[:LENGTH], "little")
    if end > MAX_ANSWER:
        raise ValueError(f"an answer of {end} bytes")
    if len(buffer) < end:
        return None
    answer = _answer.decode(bytes(buffer[LENGTH:end]))
    del buffer[:end]
    return answer
