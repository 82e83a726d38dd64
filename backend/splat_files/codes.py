"""What the compressed formats share: bytes that stand for opacities, colours and quaternions."""

from __future__ import annotations

from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from protocol.splats import Floats

PIECE = 1 << 24
"""Bytes asked for at a time, so that a size that lies costs nothing."""


class Stream(Protocol):
    """Something bytes are read from."""

    def read(self, size: int, /) -> bytes: ...


def take(stream: Stream | BinaryIO, wanted: int) -> bytearray | None:
    """Return the next ``wanted`` bytes, or None where there are fewer; never holds more than there are."""
    data = bytearray()
    while len(data) < wanted:
        piece = stream.read(min(PIECE, wanted - len(data)))
        if not piece:
            return None
        data += piece
    return data


def logits(bytes_: NDArray[np.uint8]) -> Floats:
    """Return the logit of opacities (N,) stored in 255ths; 0 and 1, which have none, count as half a step from it."""
    alphas = np.clip(bytes_.astype(np.float32), 0.5, 254.5) / np.float32(255)
    return np.log(alphas / (1 - alphas))


def with_largest(three: Floats, largest: NDArray[np.integer]) -> Floats:
    """Return unit quaternions (N, 4) from all components but the largest, which is not negative.

    Args:
        three: (N, 3), the others in order. largest: (N,), the place, 0 to 3, of the one left out.
    """
    others = np.array([[j for j in range(4) if j != i] for i in range(4)])
    quats = np.empty((len(three), 4), np.float32)
    np.put_along_axis(quats, others[largest], three, 1)
    rest = np.sqrt(np.maximum(0, 1 - np.square(three).sum(1)))
    np.put_along_axis(quats, largest[:, None].astype(np.int64), rest[:, None], 1)
    return quats
