"""Shared by the compressed formats: quantised opacities, colours and quaternions."""

from __future__ import annotations

from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from protocol.splats import Floats

PIECE = 1 << 24
"""Bytes read at a time, so that a wrong size in a header does not cause a large allocation."""
LINEAR = (-87.0, 88.0)
"""Range of log-scales whose exponential is a normal float32."""

OTHERS = np.array([[j for j in range(4) if j != i] for i in range(4)])
"""For each component of a quaternion the indices of the other three."""


class Stream(Protocol):
    """Anything with a ``read`` method for bytes."""

    def read(self, size: int, /) -> bytes: ...


def take(stream: Stream | BinaryIO, wanted: int) -> bytearray | None:
    """Return the next ``wanted`` bytes, or None if the stream has fewer; allocates no more than the stream holds."""
    data = bytearray()
    while len(data) < wanted:
        piece = stream.read(min(PIECE, wanted - len(data)))
        if not piece:
            return None
        data += piece
    return data


def logits(bytes_: NDArray[np.uint8]) -> Floats:
    """Return the logits of opacities (N,) stored in 255ths; 0 and 1 are moved inwards by half a step to stay finite."""
    alphas = np.clip(bytes_.astype(np.float32), 0.5, 254.5) / np.float32(255)
    return np.log(alphas / (1 - alphas))


def in_steps(shares: NDArray, steps: int) -> NDArray[np.uint32]:
    """Quantise numbers from 0 to 1 to ``steps``; values outside are clamped."""
    return np.rint(np.clip(shares, 0, 1) * steps).astype(np.uint32)


def as_bytes(shares: NDArray) -> NDArray[np.uint8]:
    """Quantise numbers from 0 to 1 to bytes; values outside are clamped."""
    return in_steps(shares, 255).astype(np.uint8)


def with_largest(three: Floats, largest: NDArray[np.integer]) -> Floats:
    """Return unit quaternions (N, 4) from all components but the largest; the largest is at least 0.

    Args:
        three: (N, 3), the other components in order. largest: (N,), the index, 0 to 3, of the largest one.
    """
    quats = np.empty((len(three), 4), np.float32)
    np.put_along_axis(quats, OTHERS[largest], three, 1)
    rest = np.sqrt(np.maximum(0, 1 - np.square(three).sum(1)))
    np.put_along_axis(quats, largest[:, None].astype(np.int64), rest[:, None], 1)
    return quats


def without_largest(quats: Floats) -> tuple[Floats, NDArray[np.uint32]]:
    """Return the arguments of :func:`with_largest` for quaternions (N, 4) of any length but 0, in their order."""
    units = unit(quats)
    largest = np.abs(units).argmax(1)
    signs = np.where(np.take_along_axis(units, largest[:, None], 1) < 0, -1, 1)
    return (np.take_along_axis(units, OTHERS[largest], 1) * signs).astype(np.float32), largest.astype(np.uint32)


def unit(quats: Floats) -> Floats:
    """Return quaternions (N, 4) normalised to length 1."""
    largest = np.abs(quats).max(1, keepdims=True)  # so that squares neither underflow nor overflow
    scaled = quats / largest
    return (scaled / np.linalg.norm(scaled, axis=1, keepdims=True)).astype(np.float32)


def bounded(values: Floats, low: float, high: float, what: str, said: list[str]) -> Floats:
    """Return values (N, ...) clamped to two bounds, and add a sentence to ``said`` if some were outside.

    Args:
        what: the plural noun for the sentence, such as "log-scales".
    """
    beyond = (values < low) | (values > high)
    count = int(np.count_nonzero(beyond.reshape(len(values), -1).any(1)))
    if not count:
        return values
    said.append(
        f"{count} Gaussians have {what} outside the range {low:g} to {high:g} of the format; the values were clipped."
    )
    return np.clip(values, low, high)
