"""Decompression bombs: files of a few kilobytes that fill the memory when they are unpacked.

What a file unpacks to is read from its header, before anything is allocated, and compared with the size of the file.
"""

from __future__ import annotations

FLOOR = 64 << 20
"""Bytes that any file may unpack to."""
DEFLATE = 1032
"""Times at most by which deflate, of PNG, zip and gzip, makes bytes fewer (zlib.net, "Technical Details")."""
GAUSSIANS = 100
"""Times at most by which files of Gaussians do: the lower bits of values are noise, so true ones stay below 10."""


def too_much(packed: int, unpacked: int, factor: int = DEFLATE, floor: int = FLOOR) -> str | None:
    """Return what is wrong with a file that unpacks to too much, as the end of a sentence; None where nothing is.

    Args:
        packed: bytes of the file, or of the part of it that is unpacked.
        unpacked: bytes that its header declares.
        factor: how many times as much is possible.
        floor: bytes that are allowed in any case.
    """
    if unpacked <= max(floor, factor * packed):
        return None
    return f"declares {unpacked:,} bytes of data in {packed:,} bytes: it is truncated, or made to fill the memory"
