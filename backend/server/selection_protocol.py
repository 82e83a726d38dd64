"""What a server and the process that selects for it tell one another.

The server writes one question per line, as JSON. An answer is its length in four bytes, little-endian, and so many
bytes of msgpack.
"""

from __future__ import annotations

import msgspec

from protocol.field_types import Digest
from protocol.messages import Error, Select

MAX_ANSWER = 16 << 20
LENGTH = 4


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client wants to know of the stored result whose manifest has hash ``manifest``."""

    number: int
    manifest: Digest
    select: Select


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answer to the question ``number``: a selection as :class:`protocol.messages.Selected` has it, or an error."""

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
    """Take the first whole answer off the front of what was read, or return None.

    Raises:
        ValueError: if what was read is no answer.
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
