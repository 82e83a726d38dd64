"""Small PNG files."""

from __future__ import annotations

import struct
import zlib


def png(width: int, height: int, *rows: list[tuple[int, int, int]]) -> bytes:
    """Return an RGB file with these rows of pixels, from the top; without rows it is black."""
    drawn = rows or [[(0, 0, 0)] * width] * height
    data = b"".join(b"\0" + bytes(value for pixel in row for value in pixel) for row in drawn)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(data))]
    chunks = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in (*parts, (b"IEND", b""))
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
