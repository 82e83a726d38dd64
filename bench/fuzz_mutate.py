"""Changes valid inputs at random, as fuzzers do: bits, numbers, lengths, pieces, digits."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

_NUMBERS = (0, 1, -1, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**53 + 1, 2**63 - 1)
_TEXTS = (
    *(b"0", b"-1", b"1e999", b"-1e-999", b"NaN", b"Infinity", b"99999999999999999999", b"2147483648", b"0.5", b"null"),
    *(b'""', b"{}", b"[]", b"[[[[[[[[", b'{"a":', b"true", b"\x00", b"\xff\xfe", b"../../x", b"\\ud800", b"\n\n"),
)
_DIGITS = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?")
LONGEST = 1 << 20
"""Bytes of an input at most."""


def mutate(samples: Sequence[bytes], order: random.Random) -> bytes:
    """Return one of the samples with one to eight changes."""
    data = bytearray(order.choice(samples))
    for _ in range(order.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        _change(data, samples, order)
        del data[LONGEST:]
    return bytes(data)


def _change(data: bytearray, samples: Sequence[bytes], order: random.Random) -> None:
    at = order.randrange(len(data) + 1)
    match order.randrange(10):
        case 0 if data:
            at = order.randrange(len(data))
            data[at] ^= 1 << order.randrange(8)
        case 1 if data:
            data[order.randrange(len(data))] = order.choice((0, 1, 0x7F, 0x80, 0xFF, order.randrange(256)))
        case 2 | 3:  # a number, of either byte order; headers are at the beginning
            size = order.choice((1, 2, 4, 8))
            number = order.choice(_NUMBERS) % (1 << 8 * size)
            at = order.randrange(min(len(data), 64) + 1) if order.random() < 0.5 else at
            data[at : at + size] = number.to_bytes(size, order.choice(("little", "big")))
        case 4:
            del data[at : at + order.choice((1, 4, 16, 256))]
        case 5:
            del data[at:]
        case 6:
            piece = data[at : at + order.choice((1, 8, 64, 1024))]
            data[at:at] = piece * order.choice((1, 2, 16))
        case 7:
            other = order.choice(samples)
            start = order.randrange(len(other) + 1)
            data[at:] = other[start : start + order.choice((16, 256, 1 << 16))]
        case 8:
            data[at:at] = order.choice(_TEXTS)
        case _:
            found = list(_DIGITS.finditer(data[: 1 << 16]))
            if found:
                one = order.choice(found)
                data[one.start() : one.end()] = order.choice(_TEXTS)
