"""Mask files -> instance ids. What is accepted, by ending:

- ``.png``: grey of 1 to 16 bits, or a palette, whose indices are the ids. Colours are refused: they name no ids.
- ``.npy``: an integer or boolean map (H, W), or a stack (N, H, W) of N instances, boolean or uint8 of 0 and 1.
- ``.npz``: one such array, or several of which one is named ``masks``, ``instance`` or ``indices``.

In a stack slice i is instance i + 1. Where slices overlap the smaller one is seen, as a part lies on its whole; of two
of the same size the later one. Id 0 is nothing, and so are ids below 0. Ids beyond int32 are numbered afresh from 1.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.scene.types import VOID
from protocol.errors import BadMask

ENDINGS = (".png", ".npy", ".npz")
ARRAY_NAMES = ("masks", "instance", "indices")
MAX_VALUES = 1 << 33
"""Values in one file: a compressed file of a few kilobytes may claim any number."""
BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    KeyError,
    NotImplementedError,
    zlib.error,
    zipfile.BadZipFile,
    Image.DecompressionBombError,
)
"""What Pillow, numpy and zipfile raise over files that are cut off or are not what their ending says."""


def mask_size(file: Path) -> tuple[int, int]:
    """Return width and height from the header of a mask file.

    Raises:
        BadMask: if it cannot be read or holds no mask.
    """
    with _explained(file):
        if file.suffix == ".png":
            with Image.open(file, formats=["PNG"]) as image:
                return image.size
        with _array_stream(file) as stream:
            shape = _array_header(stream, file)[0]
        return shape[-1], shape[-2]


def load_ids(file: Path) -> NDArray[np.int32]:
    """Return the (H, W) int32 instance ids of a mask file; 0 is background, :data:`VOID` what ids below 0 become.

    Raises:
        BadMask: if it cannot be read or holds no mask.
    """
    with _explained(file):
        values = _read_png(file) if file.suffix == ".png" else _read_array(file)
        return _flattened(values, file) if values.ndim == 3 else _as_int32(values)


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        raise BadMask(f"The mask {file} cannot be read: {error}.", "Make the file again, or take it away.") from error


def _read_png(file: Path) -> NDArray:
    with Image.open(file, formats=["PNG"]) as image:
        if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
            raise BadMask(
                f"The mask {file} holds {image.mode} colours, which name no instance ids.",
                "Write it as 8-bit or 16-bit grey, or with a palette.",
            )
        return np.asarray(image)


def _read_array(file: Path) -> NDArray:
    with _array_stream(file) as stream:
        _array_header(stream, file)
    with _array_stream(file) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


@contextmanager
def _array_stream(file: Path) -> Iterator[BinaryIO]:
    """Open the bytes of the one array of a ``.npy`` or ``.npz`` file."""
    if file.suffix == ".npy":
        with file.open("rb") as stream:
            yield stream
        return
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        named = [f"{name}.npy" for name in ARRAY_NAMES if f"{name}.npy" in names]
        if not named and len(names) != 1:
            raise BadMask(
                f"The mask {file} holds {len(names)} arrays ({', '.join(names[:5])}), none of which is named "
                f"{', '.join(ARRAY_NAMES)}.",
                "Write one array to each file.",
            )
        with archive.open((named or names)[0]) as stream:
            yield stream  # pyright: ignore[reportReturnType]


def _array_header(stream: BinaryIO, file: Path) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and dtype, before anything is allocated, if they are those of a mask."""
    major = np.lib.format.read_magic(stream)[0]
    read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.kind not in "biu":
        raise BadMask(f"The mask {file} holds {dtype} values; integers or booleans were looked for.")
    stack = len(shape) == 3 and (dtype.kind == "b" or dtype == np.uint8)
    if not (len(shape) == 2 or stack) or 0 in shape[-2:]:
        raise BadMask(
            f"The mask {file} holds {dtype} of shape {shape}.",
            "Write integers or booleans of shape (H, W), or booleans of shape (N, H, W).",
        )
    if np.prod(shape, dtype=object) > MAX_VALUES:
        raise BadMask(f"The mask {file} claims {np.prod(shape, dtype=object)} values; {MAX_VALUES} are allowed.")
    return shape, dtype


def _flattened(stack: NDArray, file: Path) -> NDArray[np.int32]:
    """Paint the slices of a stack, larger first, so that smaller ones stay on top."""
    if len(stack) and stack.dtype != bool and stack.max() > 1:
        raise BadMask(
            f"The mask {file} is a stack whose values reach {stack.max()}; a slice shows one instance as 0 and 1.",
            "Write ids as one (H, W) map instead.",
        )
    areas = np.count_nonzero(stack, axis=(1, 2))
    ids = np.zeros(stack.shape[1:], np.int32)
    for i in np.argsort(-areas, kind="stable"):
        ids[stack[i] != 0] = i + 1
    return ids


def _as_int32(values: NDArray) -> NDArray[np.int32]:
    if values.dtype == bool or np.iinfo(values.dtype).max <= np.iinfo(np.int32).max:
        ids = values.astype(np.int32)
        return np.maximum(ids, VOID, out=ids)
    void = values < 0
    values = np.where(values > 0, values, 0)
    if values.max() <= np.iinfo(np.int32).max:
        return np.where(void, VOID, values).astype(np.int32)
    present, index = np.unique(values, return_inverse=True)
    return np.where(void, VOID, index.reshape(values.shape) + (present[0] > 0)).astype(np.int32)
