"""Splats <-> PLY files, in the columns of the 3DGS reference implementation (Kerbl et al. 2023, `save_ply`).

One Gaussian is one row of the element ``vertex``: x y z, nx ny nz (always zero), f_dc_0..2, f_rest_* (all red
coefficients, then green, then blue), opacity, scale_0..2, rot_0..3, then any columns that a program added. plyfile
parses the header; the rows are read here in blocks, as a scene has a million of them.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from plyfile import PlyData, PlyElement, PlyListProperty, PlyParseError

from protocol.coroutines import finish
from protocol.endings import SPLAT_ENDINGS
from protocol.errors import BadSplats
from protocol.sh import SH0
from protocol.splats import SH_COUNTS, Splats
from protocol.usable import Tally, repair_block, usable_splats
from protocol.whole_file import whole_file

MAX_HEADER = 256 << 10
SHORT_HEADER = 4096
COLUMNS_OF_GAUSSIANS = (b" f_dc_0", b" packed_position", b" scale_0")
"""Columns that identify a PLY of Gaussians, also a compressed one."""
BLOCK = 2048
"""Rows read at a time: few enough to stay in the processor's cache while their columns are split."""
MAX_NUMBER = 400
"""Most characters of a number in a text file, with the space after it; the largest float64 has 309 digits."""

SH_COUNT_4 = 25
"""Coefficients of degree 4, which :class:`Splats` do not support."""
KEPT_TERMS = SH_COUNTS[-1] - 1
NORMALS = ("nx", "ny", "nz")
PAINTED = {"f_dc_0": "red", "f_dc_1": "green", "f_dc_2": "blue"}
"""Byte columns that replace the base colour in files that nerfstudio writes in its mode "rgb"."""

AGAIN = "Copy or export it again."


def may_hold_gaussians(path: Path) -> bool:
    """Whether a file may hold Gaussians, by its ending and, for a PLY, by its columns."""
    if path.suffix.lower() != ".ply":
        return path.suffix.lower() in SPLAT_ENDINGS
    try:
        with path.open("rb") as file:
            head = file.read(SHORT_HEADER)
    except OSError:
        return False
    return head[:3] == b"ply" and any(column in head for column in COLUMNS_OF_GAUSSIANS)


def read_ply(path: Path | str) -> Splats:
    """Return the Gaussians of a PLY file, binary of either byte order or ASCII, with columns in any order.

    Columns of other numeric types are converted to float32; normals are ignored; unknown columns are kept in
    :attr:`Splats.extra` with their own type. Warns about Gaussians that were dropped or clamped (see
    :mod:`protocol.usable`), about a dropped fourth band of spherical harmonics, and about bytes after the last row.

    Raises:
        BadSplats: if the file cannot be read, is truncated, does not hold Gaussians of SH degree 0 to 4, or holds no
            usable one.
    """
    return finish(read_ply_steps(path))


def check_header(path: Path) -> None:
    """Refuse a PLY file by its header: one without Gaussians of a supported degree, or that is truncated.

    Raises:
        BadSplats: as :func:`read_ply`.
    """
    try:
        with path.open("rb") as file:
            header = _read_header(file, path)
    except OSError as error:
        raise BadSplats(f"The file {path} cannot be read: {error.strerror}.") from error
    if not header.vertex.count:
        raise BadSplats(f"{path} contains no Gaussians.", AGAIN)


def read_ply_steps(path: Path | str) -> Generator[float, None, Splats]:
    """As :func:`read_ply`, in steps of at most a few milliseconds, for a window that must not freeze.

    Yields the share of rows read so far; returns the Gaussians.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise BadSplats(f"The file {path} does not exist.", "Give a PLY file of 3D Gaussians.")
        with path.open("rb") as file:
            header = _read_header(file, path)
            splats, usable, tally = yield from _read_rows(file, header)
            trailing = _trailing(file, header)
    except OSError as error:
        raise BadSplats(f"The file {path} cannot be read: {error.strerror}.") from error
    if trailing:
        warnings.warn(f"{path} has {trailing} extra bytes after its last Gaussian; they were ignored.", stacklevel=2)
    if header.terms > KEPT_TERMS:
        warnings.warn(f"{path} has spherical harmonics of degree 4; the fourth band was ignored.", stacklevel=2)
    return usable_splats(splats, usable, tally, path)


def write_ply(splats: Splats, path: Path | str) -> None:
    """Write ``splats`` as binary little-endian PLY: the standard columns in the standard order, then extra columns.

    The file appears under its name when it is complete; reading it returns the same bits.

    Raises:
        BadSplats: if an extra column has a name or type that PLY does not support, or the file cannot be written.
    """
    path = Path(path)
    table = PlyData([PlyElement.describe(_rows(splats, path), "vertex")], byte_order="<")
    try:
        with whole_file(path) as part, part.open("xb") as file:
            table.write(file)
    except OSError as error:
        raise BadSplats(f"The file {path} cannot be written: {error.strerror}.") from error


def _columns(splats: Splats, terms: int | None = None) -> dict[str, NDArray]:
    """Return each PLY column as a view (N,) of the arrays of ``splats``, in file order, without normals.

    Args:
        terms: higher-band coefficients of the file, if it has more than ``splats``.
    """
    rest = splats.sh.shape[1] - 1
    stored = rest if terms is None else terms
    columns = {axis: splats.means[:, i] for i, axis in enumerate("xyz")}
    columns |= {f"f_dc_{c}": splats.sh[:, 0, c] for c in range(3)}
    columns |= {f"f_rest_{c * stored + k}": splats.sh[:, 1 + k, c] for c in range(3) for k in range(rest)}
    columns |= {"opacity": splats.opacities}
    columns |= {f"scale_{i}": splats.scales[:, i] for i in range(3)}
    columns |= {f"rot_{i}": splats.quats[:, i] for i in range(4)}
    return columns | splats.extra


def _empty(count: int, sh_count: int, extra: dict[str, np.dtype]) -> Splats:
    return Splats(
        means=np.empty((count, 3), np.float32),
        quats=np.empty((count, 4), np.float32),
        scales=np.empty((count, 3), np.float32),
        opacities=np.empty(count, np.float32),
        sh=np.empty((count, sh_count, 3), np.float32),
        extra={name: np.empty(count, dtype) for name, dtype in extra.items()},
    )


@dataclass(frozen=True)
class _Header:
    """A PLY header, checked against the size of the file before anything is allocated."""

    path: Path
    text: bool
    before: list[PlyElement]
    vertex: PlyElement
    after: list[PlyElement]
    dtype: np.dtype
    """One row of ``vertex`` in a binary file."""
    terms: int
    """Higher-band coefficients per channel."""


def parse_header(file: BinaryIO, path: Path) -> PlyData:
    """Return the elements that a PLY header declares, without data; leaves ``file`` at the first byte of data.

    Raises:
        BadSplats: if the file does not begin with a PLY header.
    """
    head = file.read(MAX_HEADER)
    if head[:3] != b"ply":
        raise BadSplats(f"{path} is not a PLY file: it does not begin with 'ply'.", "Give a PLY file of 3D Gaussians.")
    if b"end_header" not in head:
        raise BadSplats(f"{path} has a PLY header without end_header.", AGAIN)
    # plyfile decodes headers as ASCII, but comments may be in any language.
    stream = io.BytesIO(head.translate(bytes(range(128)) + b"?" * 128))
    try:
        # plyfile has no public function to read only a header, and PlyData.read allocates by its counts.
        table = PlyData._parse_header(stream)
    except (PlyParseError, ValueError) as error:
        raise BadSplats(f"{path} has a PLY header that cannot be read: {error}.", AGAIN) from error
    file.seek(stream.tell())
    return table


def check_counts(path: Path) -> None:
    """Refuse a PLY file that declares more rows than it has bytes, because plyfile allocates memory by its counts.

    Raises:
        BadSplats: if the header cannot be read.
        ValueError: with the reason.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        for element in parse_header(file, path):
            if not 0 <= element.count <= size:
                raise ValueError(f"it declares {element.count} rows of {element.name} in {size} bytes")


def _read_header(file: BinaryIO, path: Path) -> _Header:
    """Parse and check the header; leaves ``file`` at the first byte of data."""
    table = parse_header(file, path)
    _refuse_other_kinds(table, path)
    at = [element.name for element in table].index("vertex")
    vertex = table.elements[at]
    dtype = np.dtype(vertex.dtype("=" if table.text else table.byte_order))
    terms = _count_rest({p.name for p in vertex.properties}) // 3
    header = _Header(path, table.text, list(table.elements[:at]), vertex, list(table.elements[at + 1 :]), dtype, terms)
    _check_size(file, header)
    return header


def _refuse_other_kinds(table: PlyData, path: Path) -> None:
    """Raise an error that says what a PLY file contains, if it does not contain 3D Gaussians."""
    if "chunk" in table and "vertex" in table and "packed_position" in table["vertex"]:
        raise BadSplats(
            f"{path} is a compressed PLY of PlayCanvas SuperSplat: its Gaussians are packed into 16 bytes each.",
            "Give it to backend segment --splats, or export it from SuperSplat as an uncompressed PLY.",
        )
    if "vertex" not in table:
        raise BadSplats(f"{path} has no element named vertex in its PLY header.", "Give a PLY file of 3D Gaussians.")
    for element in table:
        if element.count < 0:
            raise BadSplats(f"{path} declares an invalid number of rows for {element.name}: {element.count}.", AGAIN)
        lists = [p.name for p in element.properties if isinstance(p, PlyListProperty)]
        if lists and (element.name == "vertex" or element.count):
            raise BadSplats(
                f"{path} contains list properties ({element.name}: {', '.join(lists)}); a PLY file of 3D Gaussians "
                "has none.",
                "Give a PLY file of 3D Gaussians, not of a mesh.",
            )
    present = {p.name for p in table["vertex"].properties}
    rest = _count_rest(present)
    if rest not in [3 * (terms - 1) for terms in (*SH_COUNTS, SH_COUNT_4)]:
        raise BadSplats(f"{path} has {rest} f_rest columns; expected 0, 9, 24, 45 or 72, for SH degree 0 to 4.")
    present |= set(_painted(table["vertex"]))
    wanted = [*_columns(_empty(0, 1, {})), *(f"f_rest_{i}" for i in range(rest))]
    missing = [name for name in wanted if name not in present]
    if missing:
        raise BadSplats(
            f"{path} does not contain 3D Gaussians: these columns are missing: {', '.join(missing)}.",
            "Give a PLY file written by a 3D Gaussian splatting trainer.",
        )


def _painted(vertex: PlyElement) -> dict[str, str]:
    """Return which byte columns replace which of f_dc_0..2, if the file has no f_dc columns."""
    types = {p.name: np.dtype(p.dtype()) for p in vertex.properties if not isinstance(p, PlyListProperty)}
    given = all(types.get(colour) == np.uint8 for colour in PAINTED.values())
    return PAINTED if given and not PAINTED.keys() & types.keys() else {}


def _count_rest(names: set[str]) -> int:
    return sum(name.startswith("f_rest_") for name in names)


def _check_size(file: BinaryIO, header: _Header) -> None:
    """Raise if the file is too short for the rows that its header declares; does not move the file position."""
    start = file.tell()
    left = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    if header.text:
        # A number and its separator take at least two bytes.
        lines = sum(1 for _ in file) - sum(element.count for element in header.before)
        there = min(lines, (left + 1) // (2 * len(header.vertex.properties)))
        file.seek(start)
    else:
        there = (left - sum(_bytes_of(element) for element in header.before)) // header.dtype.itemsize
    if there < header.vertex.count:
        raise BadSplats(
            f"{header.path} is truncated: its header declares {header.vertex.count} Gaussians and it contains "
            f"{max(there, 0)}.",
            AGAIN,
        )


def _bytes_of(element: PlyElement) -> int:
    return element.count * np.dtype(element.dtype("<")).itemsize if element.count else 0


def _read_rows(file: BinaryIO, header: _Header) -> Generator[float, None, tuple[Splats, NDArray[np.bool_], Tally]]:
    """Return all Gaussians of the file, and which are usable; yields the share done after each block."""
    count = header.vertex.count
    fields = header.dtype.fields or {}
    kept = min(header.terms, KEPT_TERMS)
    painted = _painted(header.vertex)
    known = (
        *_columns(_empty(0, 1, {})),
        *NORMALS,
        *painted.values(),
        *(f"f_rest_{i}" for i in range(3 * header.terms)),
    )
    extra = {name: field[0].newbyteorder("=") for name, field in fields.items() if name not in known}
    splats = _empty(count, 1 + kept, extra)
    columns = list(_columns(splats, header.terms).items())
    usable, tally = np.ones(count, bool), Tally()
    done = 0
    for rows in (_text_blocks if header.text else _binary_blocks)(file, header):
        block = slice(done, done + len(rows))
        with np.errstate(over="ignore"):  # a float64 outside float32 becomes an infinity and is handled as one
            for name, column in columns:
                column[block] = (rows[painted[name]] / 255 - 0.5) / SH0 if name in painted else rows[name]
        usable[block] = repair_block(splats, block, tally)
        done += len(rows)
        yield done / count
    return splats, usable, tally


def _binary_blocks(file: BinaryIO, header: _Header) -> Iterator[NDArray]:
    # Read, not mapped: a mapped file that is truncated meanwhile kills the process.
    file.seek(sum(_bytes_of(element) for element in header.before), os.SEEK_CUR)
    count = header.vertex.count
    buffer = np.empty(min(BLOCK, count), header.dtype)
    for start in range(0, count, BLOCK):
        rows = buffer[: count - start]
        if file.readinto(rows.view(np.uint8)) != rows.nbytes:  # pyright: ignore[reportAttributeAccessIssue]
            raise BadSplats(f"{header.path} was truncated while it was being read.", AGAIN)
        yield rows


def _text_blocks(file: BinaryIO, header: _Header) -> Iterator[NDArray]:
    _skip_lines(file, header.before)
    count = header.vertex.count
    longest = MAX_NUMBER * len(header.vertex.properties)
    for start in range(0, count, BLOCK):
        wanted = min(BLOCK, count - start)
        lines = [file.readline(longest).decode("latin-1") for _ in range(wanted)]
        rows = _parse_lines(lines, header.dtype)
        if rows is None or len(rows) != wanted:
            raise BadSplats(
                f"{header.path} has a malformed line between Gaussians {start + 1} and {start + wanted}; every line "
                f"must have {len(header.vertex.properties)} numbers.",
                AGAIN,
            )
        yield rows


def _parse_lines(lines: list[str], dtype: np.dtype) -> NDArray | None:
    if not all(map(str.strip, lines)):
        return None
    try:
        return np.loadtxt(lines, dtype, comments=None, ndmin=1)
    except ValueError:
        return None


def _skip_lines(file: BinaryIO, elements: list[PlyElement]) -> None:
    for element in elements:
        # Not itertools.islice: a header may declare more rows than it accepts.
        for _ in zip(range(element.count), file, strict=False):
            pass


def _trailing(file: BinaryIO, header: _Header) -> int:
    """Return how many bytes follow the last row of the last element; ``file`` must be after the last Gaussian."""
    if header.text:
        _skip_lines(file, header.after)
        tail = file.read()
        return len(tail) if tail.strip() else 0
    end = file.tell() + sum(_bytes_of(element) for element in header.after)
    return max(0, file.seek(0, os.SEEK_END) - end)


def _rows(splats: Splats, path: Path) -> NDArray:
    """Return ``splats`` as rows (N,) of a structured array in the order of the file."""
    _check_extra(splats, path)
    columns = _columns(splats)
    stock = [name for name in columns if name not in splats.extra]
    fields = [(name, "<f4") for name in (*stock[:3], *NORMALS, *stock[3:])]
    fields += [(name, column.dtype.newbyteorder("<").str) for name, column in splats.extra.items()]
    rows = np.zeros(len(splats), fields)
    targets = [(rows[name], column) for name, column in columns.items()]
    for start in range(0, len(splats), BLOCK):
        block = slice(start, start + BLOCK)
        for target, column in targets:
            target[block] = column[block]
    return rows


def _check_extra(splats: Splats, path: Path) -> None:
    stock = (*_columns(splats.without_columns()), *NORMALS)
    for name, column in splats.extra.items():
        if not name or not name.isascii() or not name.isprintable() or " " in name:
            raise BadSplats(
                f"The column name {name!r} cannot be written to {path}: PLY names must be ASCII without spaces."
            )
        if name in stock or name.startswith("f_rest_"):
            raise BadSplats(
                f"The extra column {name} cannot be written to {path}: that name is reserved for 3D Gaussians."
            )
        if column.dtype.kind not in "iuf" or column.dtype.itemsize not in (
            (4, 8) if column.dtype.kind == "f" else (1, 2, 4)
        ):
            raise BadSplats(
                f"The column {name} of type {column.dtype} cannot be written to {path}: PLY does not support this "
                "type.",
                "Convert it to int32 or float32.",
            )
