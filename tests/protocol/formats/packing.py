"""Writers of the compressed formats, one Gaussian at a time as their sources say: what the readers are held to."""

from __future__ import annotations

import gzip
import io
import json
import math
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zstandard

from protocol.formats.registry import BY_NAME
from protocol.formats.write import write_splats
from protocol.sh import SH0
from protocol.splats import Splats
from tests.protocol.strategies import random_splats

TO_RUB = (1, -1, -1)
BAND_SIGNS = ([-1, -1, 1], [-1, 1, 1, -1, 1], [-1, 1, -1, -1, 1, -1, 1])
"""Each band m = -l..l under y -> -y, z -> -z: the parity of its polynomial in y plus that in z."""


def storable(count: int, degree: int = 0, seed: int = 0) -> Splats:
    """Gaussians within the range of all formats: unit quaternions, opacities of 0.05 to 0.95, colours near 0..1."""
    drawn = random_splats(count, degree, seed, spread=1.0)
    quats = drawn.quats / np.linalg.norm(drawn.quats, axis=1, keepdims=True)
    rng = np.random.default_rng(seed)
    alphas = rng.uniform(0.05, 0.95, count).astype(np.float32)
    scales = rng.uniform(-8, 0, (count, 3)).astype(np.float32)
    sh = (0.25 * drawn.sh).clip(-0.95, 0.95).astype(np.float32)
    sh[:, 0] = rng.uniform(-0.45, 0.45, (count, 3)) / SH0
    return Splats(drawn.means, quats, scales, np.log(alphas / (1 - alphas)), sh)


def byte(value: float) -> int:
    return min(255, max(0, round(value)))


def splat_bytes(splats: Splats) -> bytes:
    rows = []
    for i in range(len(splats)):
        colour = [byte(255 * (0.5 + SH0 * float(v))) for v in splats.sh[i, 0]] + [byte(255 * float(splats.alphas[i]))]
        quat = [byte(128 * float(v) + 128) for v in splats.quats[i]]
        rows.append(struct.pack("<6f8B", *splats.means[i], *splats.sizes[i], *colour, *quat))
    return b"".join(rows)


def spz_sections(splats: Splats, version: int, fraction_bits: int = 12) -> list[bytes]:
    positions, alphas, colours, scales, rotations, rest = (bytearray() for _ in range(6))
    signs = [s for band in BAND_SIGNS for s in band]
    for i in range(len(splats)):
        for value, sign in zip(splats.means[i], TO_RUB, strict=True):
            positions += (round(sign * float(value) * 2**fraction_bits) & 0xFFFFFF).to_bytes(3, "little")
        alphas.append(byte(255 * float(splats.alphas[i])))
        colours += bytes(byte(255 * (0.15 * float(v) + 0.5)) for v in splats.sh[i, 0])
        scales += bytes(byte(16 * (float(v) + 10)) for v in splats.scales[i])
        w, x, y, z = (float(v) for v in splats.quats[i])
        rotations += _rotation([x, -y, -z, w], version)
        for k in range(1, splats.sh.shape[1]):
            rest += bytes(byte(128 * signs[k - 1] * float(v) + 128) for v in splats.sh[i, k])
    return [bytes(part) for part in (positions, alphas, colours, scales, rotations, rest)]


def _rotation(xyzw: list[float], version: int) -> bytes:
    if version == 2:
        sign = -1 if xyzw[3] < 0 else 1
        return bytes(byte(127.5 * sign * v + 127.5) for v in xyzw[:3])
    largest = max(range(4), key=lambda j: abs(xyzw[j]))
    flip = xyzw[largest] < 0
    word = largest
    for j in range(4):
        if j != largest:
            word = (word << 10) | ((xyzw[j] < 0) ^ flip) << 9 | round(511 * abs(xyzw[j]) * math.sqrt(2))
    return word.to_bytes(4, "little")


def spz_bytes(splats: Splats, version: int, fraction_bits: int = 12, extensions: bytes = b"") -> bytes:
    """Write SPZ; ``extensions`` are records as :func:`record` makes them."""
    return spz_of(spz_sections(splats, version, fraction_bits), version, splats.sh_degree, fraction_bits, extensions)


def spz_of(sections: list[bytes], version: int, degree: int, fraction_bits: int = 12, extensions: bytes = b"") -> bytes:
    count = len(sections[1])
    flags = 2 if extensions else 0
    start = struct.pack("<4sIIBBB", b"NGSP", version, count, degree, fraction_bits, flags)
    if version < 4:
        return gzip.compress(start + b"\0" + b"".join(sections) + extensions, mtime=0)
    packed = [(zstandard.compress(part), len(part)) for part in sections if part]
    table = b"".join(struct.pack("<QQ", len(data), size) for data, size in packed)
    head = start + struct.pack("<BI12x", len(packed), 32 + len(extensions))
    return head + extensions + table + b"".join(data for data, _ in packed)


def record(kind: int, payload: bytes) -> bytes:
    """One record of SPZ's extensions."""
    return struct.pack("<II", kind, len(payload)) + payload


def compressed_ply_bytes(splats: Splats, colour_bounds: bool = True) -> bytes:
    """Consecutive chunks of 256 Gaussians; the bounds of a chunk are those of its values."""
    count, rest = len(splats), 3 * (splats.sh.shape[1] - 1)
    names = [f"{end}_{what}{axis}" for what in ("", "scale_") for end in ("min", "max") for axis in "xyz"]
    names += [f"{end}_{c}" for end in ("min", "max") for c in "rgb"] if colour_bounds else []
    words = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
    lines = ["ply", "format binary_little_endian 1.0", f"element chunk {-(-count // 256)}"]
    lines += [f"property float {name}" for name in names] + [f"element vertex {count}"]
    lines += [f"property uint {name}" for name in words]
    if rest:
        lines += [f"element sh {count}"] + [f"property uchar f_rest_{i}" for i in range(rest)]
    chunks, rows, further = bytearray(), bytearray(), bytearray()
    colours = 0.5 + SH0 * splats.sh[:, 0]
    for start in range(0, count, 256):
        part = slice(start, min(start + 256, count))
        bounds = [(values[part].min(0), values[part].max(0)) for values in (splats.means, splats.scales, colours)]
        bounds = bounds if colour_bounds else [*bounds[:2], (np.zeros(3), np.ones(3))]
        for low, high in bounds if colour_bounds else bounds[:2]:
            chunks += struct.pack("<6f", *low, *high)
        for i in range(part.start, part.stop):
            mean, scale, colour = (
                [
                    (float(v) - float(a)) / max(float(b) - float(a), 1e-9)
                    for v, a, b in zip(values[i], low, high, strict=True)
                ]
                for values, (low, high) in zip((splats.means, splats.scales, colours), bounds, strict=True)
            )
            alpha = byte(255 * float(splats.alphas[i]))
            packed_colour = [byte(255 * v) for v in colour] + [alpha]
            rows += struct.pack("<II", _packed(mean), _packed_rotation([float(v) for v in splats.quats[i]]))
            rows += struct.pack("<II", _packed(scale), int.from_bytes(bytes(packed_colour), "big"))
            stored = splats.sh[i, 1:].T.ravel()
            further += bytes(min(255, max(0, math.floor((float(v) / 8 + 0.5) * 256))) for v in stored)
    return "\n".join([*lines, "end_header\n"]).encode() + bytes(chunks + rows + further)


def _packed(shares: list[float]) -> int:
    x, y, z = shares
    return round(x * 2047) << 21 | round(y * 1023) << 11 | round(z * 2047)


def _packed_rotation(wxyz: list[float]) -> int:
    largest = max(range(4), key=lambda j: abs(wxyz[j]))
    sign = -1 if wxyz[largest] < 0 else 1
    word = largest
    for j in range(4):
        if j != largest:
            word = word << 10 | round((sign * wxyz[j] / math.sqrt(2) + 0.5) * 1023)
    return word


def written(splats: Splats, name: str) -> bytes:
    """The bytes of one of this project's own formats."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            write_splats(splats, path, BY_NAME[name])
        return path.read_bytes()


def sog_with(change: Callable[[dict], object] = lambda meta: None, count: int = 40, **entries: bytes | None) -> bytes:
    """A SOG archive whose ``meta.json`` was changed, and in which pictures were replaced or, as None, left out."""
    with zipfile.ZipFile(io.BytesIO(written(storable(count, 1), "sog"))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    meta = json.loads(files["meta.json"])
    change(meta)
    files["meta.json"] = json.dumps(meta).encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in (files | {f"{name}.webp": data for name, data in entries.items()}).items():
            if data is not None:
                archive.writestr(name, data)
    return stream.getvalue()


def glb_with(change: Callable[[dict], object] = lambda document: None, count: int = 40, name: str = "glb") -> bytes:
    """A GLB file whose JSON was changed."""
    whole = written(storable(count, 1), f"gaussians-{name}")
    length = struct.unpack_from("<I", whole, 12)[0]
    document = json.loads(whole[20 : 20 + length])
    change(document)
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    rest = whole[20 + length :]
    return struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text) + len(rest), len(text), b"JSON") + text + rest
