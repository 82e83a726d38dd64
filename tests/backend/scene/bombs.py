"""Files of a few kilobytes that declare hundreds of megabytes."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

MIB = 1 << 20


def npz(path: Path, size: int, how: int = zipfile.ZIP_BZIP2) -> Path:
    """A mask of zeros; bzip2 packs a million of them into fifty bytes."""
    header = io.BytesIO()
    what = {"descr": "|u1", "fortran_order": False, "shape": (size // 1024, 1024)}
    np.lib.format.write_array_header_1_0(header, what)
    with zipfile.ZipFile(path, "w", how) as archive, archive.open("ids.npy", "w", force_zip64=True) as entry:
        entry.write(header.getvalue())
        for _ in range(size // MIB):
            entry.write(bytes(MIB))
    return path


def npy(path: Path, size: int) -> Path:
    """An array whose values are not there."""
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (size // 1024, 1024)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(1000))
    return path


def png(path: Path, width: int, height: int) -> Path:
    """A picture of one bit a pixel, whose rows are not all there."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes(MIB), 9)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


def rle(path: Path, side: int, count: int = 1) -> Path:
    """Masks of run lengths in some bytes, each the first half of the one before it."""
    masks = [
        {"size": [side, side], "counts": [0, side * side >> number, side * side - (side * side >> number)]}
        for number in range(count)
    ]
    path.write_text(json.dumps(masks))
    return path


def spz(path: Path, gaussians: int) -> Path:
    """Version 4 of zeros: zstd packs a hundred megabytes of them into ten kilobytes."""
    import zstandard

    widths = (9, 1, 3, 3, 4, 3 * 15)
    packer = zstandard.ZstdCompressor(level=19)
    streams = []
    for width in widths:
        streams.append((packer.compress(bytes(gaussians * width)), gaussians * width))
    table = b"".join(struct.pack("<QQ", len(data), size) for data, size in streams)
    start = struct.pack("<4sIIBBBBI12x", b"NGSP", 4, gaussians, 3, 12, 0, len(streams), 32)
    path.write_bytes(start + table + b"".join(data for data, _ in streams))
    return path


def sog(path: Path, side: int) -> Path:
    """Pictures of one colour, which lossless WebP packs into some hundred bytes."""
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGBA", (side, side), (0, 0, 0, 255)).save(stream, "WEBP", lossless=True, method=0)
    names = {"means": ["l", "u"], "scales": ["s"], "quats": ["q"], "sh0": ["c"]}
    codes = {"codebook": [0.0], "files": []}
    meta = {
        "version": 2,
        "count": side * side,
        "means": {"mins": [0, 0, 0], "maxs": [1, 1, 1], "files": names["means"]},
        "scales": codes | {"files": names["scales"]},
        "quats": {"files": names["quats"]},
        "sh0": codes | {"files": names["sh0"]},
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.json", json.dumps(meta))
        for name in (each for group in names.values() for each in group):
            archive.writestr(name, stream.getvalue())
    return path


def points(path: Path, count: int) -> Path:
    """Sparse points that are not there."""
    path.write_text(
        f"ply\nformat ascii 1.0\nelement vertex {count}\nproperty double x\nproperty double y\nproperty double z\n"
        "end_header\n0 0 0\n"
    )
    return path


def text_row(path: Path, numbers: int) -> Path:
    """One Gaussian as text, with more numbers than columns."""
    numbered = {"f_dc": 3, "scale": 3, "rot": 4}
    columns = ["x", "y", "z", "opacity", *(f"{name}_{i}" for name, most in numbered.items() for i in range(most))]
    properties = "".join(f"property float {name}\n" for name in columns)
    head = f"ply\nformat ascii 1.0\nelement vertex 1\n{properties}end_header\n"
    path.write_bytes(head.encode() + b"1 " * numbers)
    return path


def track(path: Path, images: int) -> Path:
    """A point of COLMAP that many images show, whose last number is not a number."""
    path.write_bytes(b"1 0 0 0 1 2 3 0.1" + b" 1 1" * images + b" x\n")
    return path


def nested_header(path: Path) -> Path:
    """An array whose header is an expression that Python's parser cannot hold."""
    header = b"-" * 9000 + b"1"
    path.write_bytes(b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header)
    return path


def ppm(path: Path) -> Path:
    """The header of a picture of 10 gigapixels."""
    path.write_bytes(b"P6 99999 99999 255\n")
    return path
