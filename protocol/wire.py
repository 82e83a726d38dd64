"""Encodes and decodes messages with arrays as frames.

A message is a header frame, strict JSON, followed by one raw frame per array. The header contains the protocol's major
version, the request id, the message, and the dtype and shape of each array. Every limit is checked before anything is
allocated, so a wrong length from a peer only causes an error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal, get_args

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from protocol.errors import BadFrames, VersionMismatch
from protocol.messages import MAJOR, AnyMessage, Message

MAX_ARRAYS = 8
MAX_HEADER = 64 * 1024
MAX_ARRAY = 1 << 20
"""Most bytes of one array frame; files are sent as chunks of at most this size."""
MAX_FRAME = MAX_ARRAY
"""Value of MAXMSGSIZE on the sockets; libzmq applies it per frame."""

Dtype = Literal["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "float16", "float32", "float64"]
DTYPES: frozenset[str] = frozenset(get_args(Dtype))
MAX_DIMENSIONS = 8
MAX_MESSAGE = MAX_HEADER + MAX_ARRAYS * MAX_ARRAY
"""Most bytes of all frames of a message."""

Frame = bytes | bytearray | memoryview
"""Any object with the buffer protocol, also a ``zmq.Frame``."""


class ArraySpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The header's description of one array frame; data is little-endian, in C order."""

    dtype: Dtype
    shape: Annotated[list[Annotated[int, Meta(ge=0, le=2**40)]], Meta(max_length=MAX_DIMENSIONS)]


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first frame."""

    v: int
    id: Annotated[int, Meta(ge=0, le=2**53)]
    message: AnyMessage
    arrays: Annotated[list[ArraySpec], Meta(max_length=MAX_ARRAYS)] = []


class Letterhead(msgspec.Struct, frozen=True):
    """The part of a header that every protocol version can read."""

    v: int


_encoder = msgspec.json.Encoder()
_header = msgspec.json.Decoder(Header, strict=True)
_letterhead = msgspec.json.Decoder(Letterhead)
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Exceptions of msgspec on untrusted bytes; it raises UnicodeDecodeError for invalid UTF-8 inside a string."""


def encode(message: Message, arrays: Sequence[NDArray] = (), *, id: int = 0) -> list[Frame]:
    """Return the frames of ``message``. Array frames may be views, so do not change the arrays before they are sent.

    Args:
        message: any message of :data:`protocol.messages.AnyMessage`.
        arrays: up to ``MAX_ARRAYS`` arrays of the dtypes in :data:`Dtype`, each at most ``MAX_ARRAY`` bytes.
        id: the id of the request that this message is or answers; 0 for neither.

    Raises:
        BadFrames: if an array or a field breaks a limit. The sender checks too, because an oversize frame only drops
            the connection at the receiver.
    """
    kind = type(message).__name__
    if len(arrays) > MAX_ARRAYS or any(a.nbytes > MAX_ARRAY or a.ndim > MAX_DIMENSIONS for a in arrays):
        raise BadFrames(f"A {kind} has more than {MAX_ARRAYS} arrays or an array of more than {MAX_ARRAY} bytes.")
    strange = [str(a.dtype) for a in arrays if a.dtype.name not in DTYPES]
    if strange:
        raise BadFrames(f"A {kind} has an array of type {strange[0]}, which the protocol does not support.")
    specs = [ArraySpec(a.dtype.name, list(a.shape)) for a in arrays]  # pyright: ignore[reportArgumentType]
    try:
        header = _encoder.encode(Header(MAJOR, id, message, specs))  # pyright: ignore[reportArgumentType]
        # msgspec checks the limits of a struct when it decodes, not when it is created.
        _header.decode(header)
    except (msgspec.MsgspecError, UnicodeError, OverflowError, TypeError) as error:
        raise BadFrames(f"A {kind} has a field with an invalid value: {error}.") from error
    if len(header) > MAX_HEADER:
        raise BadFrames(f"A {kind} has a header of {len(header)} bytes; at most {MAX_HEADER} are allowed.")
    return [header, *map(_frame, arrays)]


def _frame(array: NDArray) -> Frame:
    """Return an array's bytes, little-endian and in C order, without a copy if possible."""
    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return plain.reshape(-1).view(np.uint8).data if plain.size else b""


def decode(frames: Sequence[Frame]) -> tuple[AnyMessage, list[NDArray], int]:
    """Return the message, its arrays (read-only views of the frames) and its request id.

    Raises:
        VersionMismatch: if the peer uses another major version.
        BadFrames: if the frames violate the format or a limit.
    """
    if not 1 <= len(frames) <= 1 + MAX_ARRAYS:
        raise BadFrames(f"The received message has {len(frames)} frames; 1 to {1 + MAX_ARRAYS} are allowed.")
    first, *rest = (memoryview(frame).cast("B") for frame in frames)
    if len(first) > MAX_HEADER:
        raise BadFrames(f"The received header has {len(first)} bytes; at most {MAX_HEADER} are allowed.")
    try:
        version = _letterhead.decode(first).v
    except _NOT_JSON as error:
        raise BadFrames(f"The received header is not valid JSON of this protocol: {error}.") from error
    if version != MAJOR:
        raise VersionMismatch(
            f"The other side uses protocol {version}, this side uses protocol {MAJOR}.",
            "Update the add-on or the backend, whichever is older.",
        )
    try:
        header = _header.decode(first)
    except _NOT_JSON as error:
        raise BadFrames(f"The received message is not part of this protocol: {error}.") from error
    if len(header.arrays) != len(rest):
        raise BadFrames(f"The header lists {len(header.arrays)} arrays, but {len(rest)} frames followed.")
    arrays = [_array(spec, frame) for spec, frame in zip(header.arrays, rest, strict=True)]
    return header.message, arrays, header.id


def _array(spec: ArraySpec, frame: memoryview) -> NDArray:
    dtype = np.dtype(spec.dtype).newbyteorder("<")
    expected = math.prod(spec.shape) * dtype.itemsize
    # An empty array may still have other dimensions whose product numpy cannot handle.
    span = math.prod(max(length, 1) for length in spec.shape) * dtype.itemsize
    if expected != len(frame) or span > MAX_ARRAY:
        raise BadFrames(
            f"The received array has {len(frame)} bytes, but {spec.dtype} of shape {spec.shape} needs {expected} "
            f"(limit {MAX_ARRAY})."
        )
    return np.frombuffer(frame.toreadonly(), dtype).reshape(spec.shape)
