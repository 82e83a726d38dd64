"""The compressed PLY of PlayCanvas: 16 bytes per Gaussian, quantised within the bounds of its chunk of 256.

The element ``chunk`` holds the bounds, ``vertex`` four packed words, and the optional ``sh`` one byte per higher-band
coefficient (playcanvas/splat-transform, `decompress-ply.ts`). Old files have no bounds of the colour.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from plyfile import PlyData, PlyElement, PlyListProperty

from protocol.errors import BadSplats
from protocol.formats.codes import as_bytes, bounded, in_steps, logits, take, with_largest, without_largest
from protocol.ply import parse_header
from protocol.sh import SH0
from protocol.splats import Floats, Splats

CHUNK = 256
WORDS = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
BOUNDS = tuple(f"{end}_{what}{axis}" for what in ("", "scale_") for end in ("min", "max") for axis in "xyz")
COLOUR_BOUNDS = tuple(f"{end}_{channel}" for end in ("min", "max") for channel in "rgb")
SMALL_AND_LARGE = (-20.0, 20.0)
"""Range of log-scales in PlayCanvas' writer. One extreme value would take precision from the others of its chunk."""
AGAIN = "Copy or export it again."


def is_compressed(file: BinaryIO, path: Path) -> bool:
    """Whether an open PLY file has this format; leaves ``file`` at its beginning.

    Raises:
        BadSplats: if the header is broken.
    """
    table = parse_header(file, path)
    file.seek(0)
    return "chunk" in table and "vertex" in table and WORDS[0] in table["vertex"]


def read(file: BinaryIO, path: Path) -> Splats:
    """Return the Gaussians of an open file.

    Raises:
        BadSplats: if its elements are not those of the format, or it is truncated.
    """
    table = parse_header(file, path)
    _check(table, path)
    start = file.tell()
    left = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    promised = sum(element.count * _dtype(element, table).itemsize for element in table)
    if left < promised:
        raise BadSplats(f"{path} is truncated: its header declares {promised} bytes and it contains {left}.", AGAIN)
    if left > promised:
        warnings.warn(f"{path} has {left - promised} extra bytes after its last row; they were ignored.", stacklevel=3)
    rows = {element.name: _rows(file, element, table, path) for element in table}
    return _decode(rows["chunk"], rows["vertex"], rows.get("sh"))


def _check(table: PlyData, path: Path) -> None:
    names = [element.name for element in table]
    bounds = dict.fromkeys(BOUNDS, "f4")
    allowed = {
        "chunk": [bounds, bounds | dict.fromkeys(COLOUR_BOUNDS, "f4")],
        "vertex": [dict.fromkeys(WORDS, "u4")],
        "sh": [{f"f_rest_{i}": "u1" for i in range(count)} for count in (9, 24, 45)],
    }
    known = names in (["chunk", "vertex"], ["chunk", "vertex", "sh"]) and not table.text
    if not known or any(_types(element) not in allowed[element.name] for element in table):
        raise BadSplats(f"{path} is a compressed PLY of an unsupported type.", "Export an uncompressed PLY.")
    count = table["vertex"].count
    short = table["chunk"].count * CHUNK < count or ("sh" in names and table["sh"].count != count)
    if count < 0 or short:
        raise BadSplats(
            f"{path} is inconsistent: its chunks do not contain the {count} Gaussians that its header declares.", AGAIN
        )


def _types(element: PlyElement) -> dict[str, str]:
    """Return the type of each column, such as "u1", or "list"."""
    return {
        p.name: "list" if isinstance(p, PlyListProperty) else np.dtype(p.dtype("<")).str[1:] for p in element.properties
    }


def _dtype(element: PlyElement, table: PlyData) -> np.dtype:
    return np.dtype(element.dtype(table.byte_order))


def _rows(file: BinaryIO, element: PlyElement, table: PlyData, path: Path) -> NDArray:
    dtype = _dtype(element, table)
    data = take(file, element.count * dtype.itemsize)
    if data is None:
        raise BadSplats(f"{path} was truncated while it was being read.", AGAIN)
    return np.frombuffer(data, dtype)


def _decode(chunk: NDArray, vertex: NDArray, rest: NDArray | None) -> Splats:
    of = np.arange(len(vertex)) // CHUNK
    position, rotation, scale, colour = (vertex[name].astype(np.uint32) for name in WORDS)

    def between(names: list[tuple[str, str]], shares: Floats) -> Floats:
        low = np.stack([chunk[name] for name, _ in names], 1).astype(np.float32)[of]
        high = np.stack([chunk[name] for _, name in names], 1).astype(np.float32)[of]
        with np.errstate(over="ignore", invalid="ignore"):  # infinite bounds make non-finite Gaussians
            inner = low * (1 - shares) + high * shares
        # At an end, 0 times an infinite bound would be NaN.
        return np.where(shares == 0, low, np.where(shares == 1, high, inner))

    shares = np.stack([_share(colour, shift, 8) for shift in (24, 16, 8)], 1)
    if COLOUR_BOUNDS[0] in (chunk.dtype.names or ()):
        shares = between([(f"min_{c}", f"max_{c}") for c in "rgb"], shares)
    others = np.stack([_share(rotation, shift, 10) for shift in (20, 10, 0)], 1)
    return Splats(
        means=between([(f"min_{axis}", f"max_{axis}") for axis in "xyz"], _eleven_ten_eleven(position)),
        quats=with_largest((others - np.float32(0.5)) * np.float32(np.sqrt(2)), rotation >> 30),
        scales=between([(f"min_scale_{axis}", f"max_scale_{axis}") for axis in "xyz"], _eleven_ten_eleven(scale)),
        opacities=logits((colour & 255).astype(np.uint8)),
        sh=np.concatenate([((shares - np.float32(0.5)) / np.float32(SH0))[:, None], _beyond(rest, len(vertex))], 1),
    )


def _share(words: NDArray[np.uint32], shift: int, bits: int) -> Floats:
    """Return a bit field of each word as a number from 0 to 1."""
    most = (1 << bits) - 1
    return ((words >> shift) & most).astype(np.float32) / np.float32(most)


def _eleven_ten_eleven(words: NDArray[np.uint32]) -> Floats:
    return np.stack([_share(words, 21, 11), _share(words, 11, 10), _share(words, 0, 11)], 1)


def _beyond(rest: NDArray | None, count: int) -> Floats:
    """Return the higher-band coefficients (N, K - 1, 3): bytes that cover -4 to 4, stored channel by channel."""
    if rest is None:
        return np.zeros((count, 0, 3), np.float32)
    names = rest.dtype.names or ()
    values = np.empty((count, len(names)), np.float32)
    for column, name in enumerate(names):
        stored = rest[name]
        share = (stored + np.float32(0.5)) / np.float32(256)
        values[:, column] = (np.where(stored == 0, 0, np.where(stored == 255, 1, share)) - 0.5) * 8
    return np.ascontiguousarray(values.reshape(count, 3, -1).transpose(0, 2, 1))


def write(splats: Splats, path: Path) -> list[str]:
    """Write Gaussians and return sentences about clamped values. Sort them along a curve first for small chunks."""
    said: list[str] = []
    count, terms = len(splats), splats.sh.shape[1] - 1
    scales = bounded(splats.scales, *SMALL_AND_LARGE, "log-scales", said)
    rest = bounded(splats.sh[:, 1:], -4, 4, "coefficients of spherical harmonics", said)
    bounds, shares = zip(
        *(_in_chunks(values) for values in (splats.means, scales, splats.sh[:, 0] * np.float32(SH0) + np.float32(0.5))),
        strict=True,
    )
    chunk = np.zeros(len(bounds[0]), [(name, "<f4") for name in (*BOUNDS, *COLOUR_BOUNDS)])
    for i, name in enumerate(chunk.dtype.names or ()):
        chunk[name] = np.concatenate(bounds, 1)[:, i]
    vertex = np.zeros(count, [(word, "<u4") for word in WORDS])
    three, largest = without_largest(splats.quats)
    fields = in_steps(three * np.float32(np.sqrt(0.5)) + np.float32(0.5), 1023)
    vertex[WORDS[0]] = _packed_11_10_11(shares[0])
    vertex[WORDS[1]] = largest << 30 | fields[:, 0] << 20 | fields[:, 1] << 10 | fields[:, 2]
    vertex[WORDS[2]] = _packed_11_10_11(shares[1])
    colour = np.concatenate([as_bytes(shares[2]), as_bytes(splats.alphas)[:, None]], 1).astype(np.uint32)
    vertex[WORDS[3]] = colour[:, 0] << 24 | colour[:, 1] << 16 | colour[:, 2] << 8 | colour[:, 3]
    elements = [PlyElement.describe(chunk, "chunk"), PlyElement.describe(vertex, "vertex")]
    if terms:
        further = np.zeros(count, [(f"f_rest_{i}", "u1") for i in range(3 * terms)])
        codes = np.clip(np.floor((rest / 8 + 0.5) * 256), 0, 255).astype(np.uint8)
        for i, column in enumerate(codes.transpose(2, 1, 0).reshape(3 * terms, count)):
            further[f"f_rest_{i}"] = column
        elements.append(PlyElement.describe(further, "sh"))
    PlyData(elements, byte_order="<").write(str(path))
    return said


def _in_chunks(values: Floats) -> tuple[Floats, Floats]:
    """Return the minimum and maximum of each chunk, (chunks, 6), and values (N, 3) scaled to 0 to 1 between them."""
    starts = np.arange(0, len(values), CHUNK)
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    of = np.arange(len(values)) // CHUNK
    reach = (high.astype(np.float64) - low)[of]
    shares = (values - low[of].astype(np.float64)) / np.where(reach > 0, reach, 1)
    return np.concatenate([low, high], 1), shares.astype(np.float32)


def _packed_11_10_11(shares: Floats) -> NDArray[np.uint32]:
    x, y, z = (in_steps(shares[:, axis], steps) for axis, steps in enumerate((2047, 1023, 2047)))
    return x << np.uint32(21) | y << np.uint32(11) | z
