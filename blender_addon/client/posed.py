"""Reads which photographs have cameras from the camera files of a scene folder, without the backend.

Tables of large captures have hundreds of megabytes, so they are read in small steps. A damaged file gives no names,
because the server reports its fault in more detail.
"""

from __future__ import annotations

import codecs
import mmap
import struct
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec

from protocol.photograph_names import SEVERAL, Finder, photograph_finder

from .layouts import COLMAP, models, place_of

LISTS = ("transforms.json", "transforms_train.json", "transforms_test.json")
_MAX_TABLE = 1 << 30
_MAX_LIST = 64 << 20
_BEFORE_NAME = 64
"""Bytes of an image in ``images.bin`` before its name: two uint32, a quaternion and a translation in float64."""
_POINT = 24
"""Bytes of a point of an image in ``images.bin``."""
_MAX_NAME = 1 << 16
_BLOCK = 1 << 20
"""Most bytes that are read in one step."""
_ROWS_A_STEP = 200


class _Frame(msgspec.Struct):
    file_path: str = ""


class _List(msgspec.Struct):
    frames: list[_Frame] = []


_list = msgspec.json.Decoder(_List)


def posed(
    folder: Path, place: PurePosixPath, paths: Sequence[PurePosixPath], layout: str | None, photographs: Sequence[str]
) -> Generator[None, None, list[str]]:
    """Return the photographs that have a camera; all if the camera files name none of them or cannot be read.

    Yields after each small step.

    Args:
        folder: the scene folder.
        place: the folder of the cameras, relative to it.
        paths: all files, relative to it.
        layout: the name of the layout.
        photographs: relative to the scene folder, with forward slashes.
    """
    names = set(paths)
    if layout == COLMAP:
        folders = [model for model in models(paths) if place_of(model) == place]
        tables = [model / f"images{ending}" for model in folders for ending in (".bin", ".txt")]
        listed: list[str] = []
        for table in tables:
            if table in names:
                listed = max(listed, (yield from _in_table(folder / table)), key=len)
    else:
        listed = [name for each in LISTS if place / each in names for name in _in_list(folder / place / each)]
    find = photograph_finder(photographs)
    rows: set[int] = set()
    for number, name in enumerate(listed):
        if (row := _row(name, find)) is not None and row != SEVERAL:
            rows.add(row)
        if number % _ROWS_A_STEP == 0:
            yield
    return [photographs[row] for row in sorted(rows)] or list(photographs)


def _row(name: str, find: Finder) -> int | None:
    """Return the number of a listed photograph, whose path may begin with folders of another machine."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    tails = ("/".join(parts[dropped:]) for dropped in range(len(parts)))
    return next((row for tail in tails if (row := find(tail)) is not None), None)


def _in_table(table: Path) -> Generator[None, None, list[str]]:
    """Return the names of the images in ``images.bin`` or ``images.txt``."""
    try:
        if not 0 < table.stat().st_size <= _MAX_TABLE:
            return []
        with table.open("rb") as file:
            if table.suffix == ".txt":
                return (yield from _in_text(file))
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return (yield from _in_binary(content))
    except (OSError, struct.error, ValueError, IndexError):
        return []


def _in_binary(content: mmap.mmap) -> Generator[None, None, list[str]]:
    (count,) = struct.unpack_from("<Q", content)
    names: list[str] = []
    at = 8
    for number in range(min(count, len(content))):
        start = at + _BEFORE_NAME
        end = content.find(b"\0", start, start + _MAX_NAME)
        if end < 0:
            return []
        names.append(content[start:end].decode("utf-8", "surrogateescape"))
        (points,) = struct.unpack_from("<Q", content, end + 1)
        at = end + 9 + _POINT * points
        if number % _ROWS_A_STEP == 0:
            yield
    return names


def _in_text(file: BinaryIO) -> Generator[None, None, list[str]]:
    """Return the names of the images: the rest of a line after nine numbers; the next line has the image's points."""
    names: list[str] = []
    has_points = False
    for line in _lines(file):
        yield
        if line is None or line.lstrip().startswith("#"):
            continue
        if has_points:
            has_points = False
        elif line.strip():
            names.append(line.strip().split(maxsplit=9)[9])
            has_points = True
    return names


def _lines(file: BinaryIO) -> Iterator[str | None]:
    """Yield the beginning of each line, and None for each further block of a long line."""
    if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        file.seek(0)
    begins = True
    while block := file.readline(_BLOCK):
        yield block.decode("utf-8", "surrogateescape") if begins else None
        begins = block.endswith(b"\n")


def _in_list(path: Path) -> list[str]:
    """Return the paths of the frames in a list."""
    try:
        if path.stat().st_size > _MAX_LIST:
            return []
        return [frame.file_path for frame in _list.decode(path.read_bytes()).frames]
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
