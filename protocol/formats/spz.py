"""SPZ, Niantic's format: one compressed section of bytes per attribute (nianticlabs/spz, `load-spz.cc`).

Versions 2 and 3 are one gzip stream of a 16-byte header and the sections; version 4 is a 32-byte header, a table of
sizes and one zstd stream per section. Version 2 stores a quaternion as x, y, z in one byte each, later versions as the
three smallest components in ten bits. Axes are right, up, back unless an extension says otherwise; a PLY has right,
down, front. Extensions are records of a kind, a length and that many bytes, after the sections of versions 2 and 3 and
before the table of version 4 (`splat-extensions.cc`).
"""

from __future__ import annotations

import gzip
import os
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadSplats
from protocol.expansion import GAUSSIANS, too_much
from protocol.formats.axes import band_signs, from_ply_axes, to_ply_axes
from protocol.formats.codes import Stream, as_bytes, bounded, logits, take, unit, with_largest, without_largest
from protocol.formats.packages import needed
from protocol.splats import Floats, Splats

GZIP = b"\x1f\x8b"
MAGIC = b"NGSP"
VERSIONS = (2, 3, 4)
MOST = 20_000_000
"""Most Gaussians. A damaged count may be four billion, and a stream of zeros of that length is a few megabytes."""

FLOOR = 16 << 20
"""Bytes of all sections that any file may unpack to: a quarter of a million Gaussians of degree 3."""
TERMS = (0, 3, 8, 15, 24)
"""Higher-band coefficients at degree 0 to 4; Splats have no fourth band, so it is ignored."""

HAS_EXTENSIONS = 2
"""Flag of files with extensions."""
MOST_EXTENSIONS = 1 << 20
"""Most bytes of all extensions together; the known ones take a few dozen."""
AXES_EXTENSION = 0xADBE0003
"""SPZ_ADOBE_coordinate_system: a uint32, an index into :data:`AXES`."""
AXES = (
    *("RUB", "LDB", "RDB", "LUB", "RUB", "LDF", "RDF", "LUF", "RUF"),
    *("LBD", "RBD", "LBU", "RBU", "LFD", "RFD", "LFU", "RFU"),
)
"""Directions of x, y and z (`splat-types.h`); 0 means unspecified, for which the reference reader uses its default."""
ABOUT_VIEWING = (0xADBE0002, 0x4E530001)
"""Extensions that do not concern the Gaussians: limits of orbiting, and the position on Earth."""

FLIP_SH = band_signs(np.array([1.0, -1.0, -1.0]))
"""Factors of bands 1 to 3 for half a turn about x, from right, up, back to right, down, front."""

FINEST = 20
"""Most fraction bits, a millionth: finer steps exceed the precision of float32 near 1."""
POSITIONS = 23
"""Bits of a coordinate without its sign."""
SIZES = (-10.0, 255 / 16 - 10)
"""Range of log-scales that a byte stores."""
COLOURS = (-0.5 / 0.15, 0.5 / 0.15)
"""Range of base colours that a byte stores."""
COEFFICIENTS = (-1.0, 127 / 128)
"""Range of the higher-band coefficients that a byte stores."""

AGAIN = "Copy or export it again."


class Header(NamedTuple):
    """The fields that both headers begin with."""

    version: int
    gaussians: int
    degree: int
    fraction_bits: int
    flags: int

    @property
    def sections(self) -> list[int]:
        """Sizes in bytes of positions, opacities, colours, scales, rotations and higher-band coefficients."""
        rotation = 3 if self.version == 2 else 4
        return [self.gaussians * width for width in (9, 1, 3, 3, rotation, 3 * TERMS[self.degree])]


def read(file: BinaryIO, path: Path) -> Splats:
    """Return the Gaussians of an open file.

    Raises:
        BadSplats: if it is damaged, of another version, or has more than :data:`MOST` Gaussians.
    """
    try:
        packed = file.read(2) == GZIP
        length = file.seek(0, os.SEEK_END)
        file.seek(0)
        header, sections, extensions = _read_gzip(file, length, path) if packed else _read_streams(file, length, path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadSplats(f"{path} is a damaged SPZ file: {error}.", AGAIN) from error
    if TERMS[header.degree] > len(FLIP_SH):
        warnings.warn(f"{path} has spherical harmonics of degree 4; the fourth band was ignored.", stacklevel=3)
    return to_ply_axes(_decode(header, sections), _axes(extensions, path))


Contents = tuple[Header, list[NDArray[np.uint8]], bytes]
"""The header, the sections, and the concatenated records of extensions."""


def _read_gzip(file: BinaryIO, length: int, path: Path) -> Contents:
    with gzip.GzipFile(fileobj=file) as stream:
        header = _header(take(stream, 16), length, path, VERSIONS[:2])
        sections = [_section(stream, size, path) for size in header.sections]
        extensions = stream.read(MOST_EXTENSIONS + 1) if header.flags & HAS_EXTENSIONS else b""
        if not extensions and stream.read(1):
            warnings.warn(f"{path} has extra bytes after its last Gaussian; they were ignored.", stacklevel=4)
    return header, sections, extensions


def _read_streams(file: BinaryIO, length: int, path: Path) -> Contents:
    zstandard = _zstandard()
    start = take(file, 32)
    header = _header(start, length, path, VERSIONS[2:])
    assert start is not None
    streams, table = struct.unpack_from("<BI", start, 15)
    sizes = [size for size in header.sections if size]
    extensions = file.read(min(max(0, table - 32), MOST_EXTENSIONS + 1)) if header.flags & HAS_EXTENSIONS else b""
    file.seek(table)
    entries = take(file, 16 * len(sizes)) if streams == len(sizes) and table >= 32 else None
    if entries is None or [size for _, size in struct.iter_unpack("<QQ", entries)] != sizes:
        raise BadSplats(
            f"{path} is a damaged SPZ file: its table does not match its {header.gaussians} Gaussians.", AGAIN
        )
    found = []
    for packed, size in struct.iter_unpack("<QQ", entries):
        data = take(file, packed) if packed < 2**63 else None
        if data is None:
            raise BadSplats(f"{path} is truncated.", AGAIN)
        # Not decompress(): it allocates the size that the stream itself claims.
        stream = zstandard.ZstdDecompressor().stream_reader(bytes(data))
        try:
            found.append(_section(stream, size, path))
        except zstandard.ZstdError as error:
            raise BadSplats(f"{path} is a damaged SPZ file: {error}.", AGAIN) from error
    sections = iter(found)
    whole = [next(sections) if size else np.empty(0, np.uint8) for size in header.sections]
    return header, whole, extensions


def _zstandard() -> Any:
    return needed("zstandard", "zstandard", "SPZ 4")


def _axes(extensions: bytes, path: Path) -> str:
    """Return the axes that the extensions declare, or the default of the format.

    Raises:
        BadSplats: if a record is cut short, or declares unknown axes.
    """
    axes = AXES[0]
    at = 0
    while at < len(extensions):
        kind, length = struct.unpack_from("<II", extensions, at) if at + 8 <= len(extensions) else (0, len(extensions))
        payload = extensions[at + 8 : at + 8 + length]
        if len(payload) < length or len(extensions) > MOST_EXTENSIONS:
            raise BadSplats(f"{path} is a damaged SPZ file: its extensions are truncated or too long.", AGAIN)
        if kind == AXES_EXTENSION:
            number = int.from_bytes(payload, "little")
            if length != 4 or number >= len(AXES):
                raise BadSplats(f"{path} declares the axes number {number}, which is not supported.", AGAIN)
            axes = AXES[number]
        elif kind not in ABOUT_VIEWING:
            warnings.warn(f"{path} has the unsupported extension 0x{kind:08X}; it was ignored.", stacklevel=4)
        at += 8 + length
    return axes


def _header(start: bytearray | None, length: int, path: Path, versions: tuple[int, ...]) -> Header:
    if start is None or start[:4] != MAGIC:
        raise BadSplats(f"{path} is compressed with gzip but is not an SPZ file.", "Give a file of 3D Gaussians.")
    header = Header(*struct.unpack_from("<IIBBB", start, 4))
    if header.version not in versions:
        raise BadSplats(f"{path} is an SPZ file of version {header.version}; versions 2 to 4 can be read.")
    if header.gaussians > MOST:
        raise BadSplats(f"{path} declares {header.gaussians} Gaussians; SPZ files are limited to {MOST}.")
    if header.degree >= len(TERMS) or not 1 <= header.fraction_bits <= 24:
        raise BadSplats(f"{path} is a damaged SPZ file: its header is invalid.", AGAIN)
    wrong = too_much(length, sum(header.sections), GAUSSIANS, FLOOR)
    if wrong is not None:
        raise BadSplats(f"{path} {wrong}.", AGAIN)
    return header


def _section(stream: Stream, size: int, path: Path) -> NDArray[np.uint8]:
    data = take(stream, size)
    if data is None:
        raise BadSplats(f"{path} is truncated.", AGAIN)
    return np.frombuffer(data, np.uint8)


def _decode(header: Header, sections: list[NDArray[np.uint8]]) -> Splats:
    positions, alphas, colours, scales, rotations, rest = sections
    count = header.gaussians
    quats = _quats_v2(rotations) if header.version == 2 else _quats(rotations)
    sh = np.zeros((count, 1 + min(TERMS[header.degree], len(FLIP_SH)), 3), np.float32)
    sh[:, 0] = (colours.reshape(count, 3) / np.float32(255) - np.float32(0.5)) / np.float32(0.15)
    beyond = rest.reshape(count, TERMS[header.degree], 3)[:, : sh.shape[1] - 1]
    sh[:, 1:] = (beyond.astype(np.float32) - 128) / 128
    return Splats(
        means=_means(positions, header.fraction_bits),
        quats=quats,
        scales=scales.reshape(count, 3) / np.float32(16) - 10,
        opacities=logits(alphas),
        sh=sh,
    )


def _means(positions: NDArray[np.uint8], fraction_bits: int) -> Floats:
    """Return centres (N, 3) from signed 24-bit integers, low byte first."""
    words = np.zeros((len(positions) // 3, 4), np.uint8)
    words[:, 1:] = positions.reshape(-1, 3)
    # The bytes are in the upper part of a 32-bit word, so that the arithmetic shift keeps the sign.
    return (words.view("<i4")[:, 0] >> 8).reshape(-1, 3).astype(np.float32) / np.float32(1 << fraction_bits)


def _quats_v2(rotations: NDArray[np.uint8]) -> Floats:
    xyz = rotations.reshape(-1, 3) / np.float32(127.5) - 1
    return with_largest(xyz, np.zeros(len(xyz), np.int64))


def _quats(rotations: NDArray[np.uint8]) -> Floats:
    """Return quaternions wxyz: two bits index the largest of x, y, z, w; sign and nine bits for each other."""
    words = rotations.view("<u4").astype(np.uint32)
    fields = np.stack([(words >> shift) & 1023 for shift in (20, 10, 0)], 1)
    sizes = (fields & 511).astype(np.float32) / np.float32(511 * np.sqrt(2))
    xyzw = with_largest(np.where(fields & 512, -sizes, sizes), words >> 30)
    return np.roll(xyzw, 1, axis=1)


def write(splats: Splats, path: Path) -> list[str]:
    """Write version 4 and return sentences about clamped values.

    Raises:
        BadSplats: if a Gaussian is further from the origin than the format can store.
        Unavailable: if zstandard is not installed.
    """
    zstandard = _zstandard()
    header, sections, said = _encode(splats, 4, path)
    packer = zstandard.ZstdCompressor(level=12)
    packed = [(packer.compress(section), len(section)) for section in sections if section]
    table = b"".join(struct.pack("<QQ", len(data), size) for data, size in packed)
    with path.open("wb") as file:
        file.write(struct.pack("<4sIIBBBBI12x", MAGIC, *header, len(packed), 32) + table)
        file.writelines(data for data, _ in packed)
    return said


def encode_2(splats: Splats, path: Path) -> tuple[bytes, list[str]]:
    """Return Gaussians as bytes of version 2, and sentences about clamped values; ``path`` is for error messages."""
    header, sections, said = _encode(splats, 2, path)
    start = struct.pack("<4sIIBBBx", MAGIC, *header)
    return gzip.compress(start + b"".join(sections), mtime=0), said


def _encode(splats: Splats, version: int, path: Path) -> tuple[Header, list[bytes], list[str]]:
    """Return the header, the sections, and sentences about clamped values."""
    said: list[str] = []
    stored = from_ply_axes(splats, AXES[0])
    furthest = float(np.abs(stored.means).max())
    # One step less than the bits hold, because rounding may go up.
    bits = FINEST if furthest == 0 else min(FINEST, int(np.floor(np.log2((2**POSITIONS - 1) / furthest))))
    if bits < 1 or len(splats) > MOST:
        raise BadSplats(
            f"{path} cannot be written: SPZ is limited to {MOST} Gaussians within {2 ** (POSITIONS - 1)} units of "
            "the origin.",
            "Choose another format, or export fewer Gaussians.",
        )
    steps = np.rint(stored.means.astype(np.float64) * 2**bits).astype("<i4")
    scales = bounded(stored.scales, *SIZES, "log-scales", said)
    colours = bounded(stored.sh[:, 0], *COLOURS, "coefficients of the constant colour", said)
    rest = bounded(stored.sh[:, 1:], *COEFFICIENTS, "coefficients of spherical harmonics", said)
    sections = [
        np.ascontiguousarray(steps.view(np.uint8).reshape(-1, 4)[:, :3]),
        as_bytes(stored.alphas),
        as_bytes(colours * np.float32(0.15) + np.float32(0.5)),
        np.rint((scales + 10) * 16).astype(np.uint8),
        _packed_xyz(stored.quats) if version == 2 else _packed_quats(stored.quats),
        np.rint(rest * 128 + 128).astype(np.uint8),
    ]
    return Header(version, len(splats), splats.sh_degree, bits, 0), [part.tobytes() for part in sections], said


def _packed_quats(quats: Floats) -> NDArray[np.uint32]:
    three, largest = without_largest(np.roll(quats, -1, axis=1))
    fields = np.rint(np.abs(three) * np.float32(511 * np.sqrt(2))).clip(0, 511).astype(np.uint32)
    fields |= (three < 0).astype(np.uint32) << 9
    return (largest << 30 | fields[:, 0] << 20 | fields[:, 1] << 10 | fields[:, 2]).astype("<u4")


def _packed_xyz(quats: Floats) -> NDArray[np.uint8]:
    units = unit(quats)
    return as_bytes(units[:, 1:] * np.where(units[:, :1] < 0, -0.5, 0.5) + 0.5)
