"""Reads which photographs have cameras from the camera files of a scene folder, without the backend.

A damaged file gives no names, because the server reports its fault in more detail.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Sequence
from itertools import dropwhile
from pathlib import Path, PurePosixPath

import msgspec

from protocol.capture_names import SEVERAL, Finder, photograph_finder

from .layouts import COLMAP, models, place_of

LISTS = ("transforms.json", "transforms_train.json", "transforms_test.json")
_MAX_TABLE = 1 << 30
_MAX_LIST = 64 << 20
_BEFORE_NAME = 64
"""Bytes of an image in ``images.bin`` before its name: two uint32, a quaternion and a translation in float64."""
_POINT = 24
"""Bytes of a point of an image in ``images.bin``."""


class _Frame(msgspec.Struct):
    file_path: str = ""


class _List(msgspec.Struct):
    frames: list[_Frame] = []


_list = msgspec.json.Decoder(_List)


def posed(
    folder: Path, place: PurePosixPath, paths: Sequence[PurePosixPath], layout: str | None, photographs: Sequence[str]
) -> list[str]:
    """Return the photographs that have a camera; all if the camera files name none of them or cannot be read.

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
        listed = max((_in_table(folder / table) for table in tables if table in names), key=len, default=[])
    else:
        listed = [name for each in LISTS if place / each in names for name in _in_list(folder / place / each)]
    find = photograph_finder(photographs)
    rows = {row for name in listed if (row := _row(name, find)) is not None and row != SEVERAL}
    return [photographs[row] for row in sorted(rows)] or list(photographs)


def _row(name: str, find: Finder) -> int | None:
    """Return the number of a listed photograph, whose path may begin with folders of another machine."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    tails = ("/".join(parts[dropped:]) for dropped in range(len(parts)))
    return next((row for tail in tails if (row := find(tail)) is not None), None)


def _in_table(table: Path) -> list[str]:
    """Return the names of the images in ``images.bin`` or ``images.txt``."""
    try:
        if not 0 < table.stat().st_size <= _MAX_TABLE:
            return []
        if table.suffix == ".txt":
            with table.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
                return list(_in_lines(lines))
        with table.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _in_binary(content)
    except (OSError, struct.error, ValueError, IndexError):
        return []


def _in_binary(content: mmap.mmap) -> list[str]:
    (count,) = struct.unpack_from("<Q", content)
    names: list[str] = []
    at = 8
    for _ in range(min(count, len(content))):
        end = content.find(b"\0", at + _BEFORE_NAME)
        if end < 0:
            return []
        names.append(content[at + _BEFORE_NAME : end].decode("utf-8", "surrogateescape"))
        (points,) = struct.unpack_from("<Q", content, end + 1)
        at = end + 9 + _POINT * points
    return names


def _in_lines(lines: Iterator[str]) -> Iterator[str]:
    """Yield the names of the images: the rest of a line after nine numbers; the next line has the image's points."""
    bare = dropwhile(lambda line: not line, (line.strip() for line in lines if not line.lstrip().startswith("#")))
    for line in bare:
        if not line:
            continue
        yield line.split(maxsplit=9)[9]
        next(bare, None)


def _in_list(path: Path) -> list[str]:
    """Return the paths of the frames in a list."""
    try:
        if path.stat().st_size > _MAX_LIST:
            return []
        return [frame.file_path for frame in _list.decode(path.read_bytes()).frames]
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
