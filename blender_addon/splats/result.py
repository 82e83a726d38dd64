"""The result folder of a segmentation, read and checked as a whole before Blender sees any of it. No bpy in here."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from protocol.coroutines import map_steps
from protocol.errors import BadResult
from protocol.ply import read_ply_steps
from protocol.splats import Splats

ROW = "splat_row"
"""Column by which a Gaussian is known again wherever it is moved to: its row in the result's ``splats.ply``."""
MAX_LABEL = 65535
"""Labels of a result fit its 16-bit id maps."""
MAX_JSON = 64 << 20
"""Bytes of an objects.json with the most objects there can be."""

BACKGROUND_COLOUR = (0.18, 0.18, 0.18)
"""sRGB; the backend's pictures show the background in the same grey."""

Unit = Annotated[float, Meta(ge=0, le=1)]
Text = Annotated[str, Meta(max_length=1024)]


Row4 = tuple[float, float, float, float]
Matrix4 = tuple[Row4, Row4, Row4, Row4]


class Row(msgspec.Struct, frozen=True):
    """What Blender needs of an object in ``objects.json``; other fields are let pass.

    Attributes:
        matrix: takes points of the capture to where an edit has moved the object.
    """

    id: Annotated[int, Meta(ge=1, le=MAX_LABEL)]
    name: Text
    count: Annotated[int, Meta(ge=0)]
    colour: tuple[Unit, Unit, Unit]
    confidence: Unit = 0.0
    matrix: Matrix4 | None = None


class Table(msgspec.Struct, frozen=True):
    """What Blender needs of ``objects.json``.

    Attributes:
        up: which way is up in the frame of the capture; left out, minus y, as COLMAP's cameras have it.
    """

    format: Literal[1]
    scene: Text
    objects: Annotated[list[Row], Meta(max_length=MAX_LABEL)]
    up: tuple[float, float, float] = (0.0, -1.0, 0.0)


@dataclass(frozen=True)
class Part:
    """An object of the scene, or its background with label 0; ``colour`` is sRGB, ``matrix`` as in :class:`Row`."""

    label: int
    name: str
    colour: tuple[float, float, float]
    confidence: float
    splats: Splats
    matrix: Matrix4 | None = None


@dataclass(frozen=True)
class Result:
    """A whole result: its objects that have Gaussians in order of label, then the background where there is any."""

    folder: Path
    scene: str
    up: tuple[float, float, float]
    parts: list[Part]


Kind = TypeVar("Kind")
SORTING = "Telling the objects apart"
"""What is said when the file is read and its rows are about to be sorted by label."""

Steps = Generator[tuple[float, str], None, Kind]
"""Work in small steps: yields how much is done, 0 to 1, and a few words; returns the work's result."""


def read_result(folder: Path) -> Steps[Result]:
    """Read and check a result folder in small steps, and return the :class:`Result` at the end.

    Raises:
        BadResult: if the folder is not whole, or its files contradict each other.
        BadSplats: if ``splats.ply`` is no splat file.
    """
    yield 0.0, "Reading the result"
    table = read_table(folder)
    splats = yield from _read_splats(folder / "splats.ply")
    yield 0.5, SORTING
    rows_of = _rows_of_labels(splats.extra["label"], table, folder)
    yield 0.5, "Gathering the objects"
    parts: list[Part] = []
    for row in [*sorted(table.objects, key=lambda row: row.id), Row(0, "background", 0, BACKGROUND_COLOUR)]:
        if row.id in rows_of:
            fraction = 0.5 + 0.5 * len(parts) / len(rows_of)
            picked = yield from _pick(splats, rows_of[row.id], (fraction, row.name))
            # An edited result says itself which row a Gaussian had at first.
            rows = picked.extra.get(ROW, rows_of[row.id]).astype(np.int32)
            parts.append(_part(row, picked.with_columns(**{ROW: rows})))
    return Result(folder, _clean(table.scene) or folder.name, table.up, parts)


def read_table(folder: Path) -> Table:
    """Return the checked ``objects.json`` of a result folder.

    Raises:
        BadResult: if the folder is no result.
    """
    path = folder / "objects.json"
    remedy = "Choose the folder that a segmentation wrote, with splats.ply and objects.json in it."
    if not folder.is_dir():
        raise BadResult(f"There is no folder {folder}.", remedy)
    if not path.is_file():
        raise BadResult(f"The folder {folder} has no objects.json.", remedy)
    if path.stat().st_size > MAX_JSON:
        raise BadResult(f"{path} has more than {MAX_JSON} bytes, which no table of objects takes.", remedy)
    try:
        table = msgspec.json.decode(path.read_bytes(), type=Table)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OSError) as error:
        raise BadResult(f"{path} is no table of objects: {error}.", remedy) from error
    if len({row.id for row in table.objects}) != len(table.objects):
        raise BadResult(f"{path} names an object id twice.", remedy)
    if not 1e-6 < np.linalg.norm(table.up) < 1e6:
        raise BadResult(f"{path} names the direction up as {list(table.up)}, which is no direction.", remedy)
    return table


def _read_splats(path: Path) -> Steps[Splats]:
    if not path.is_file():
        raise BadResult(f"The result has no file {path}.", "Download or segment it again.")
    splats = yield from map_steps(lambda share: (0.5 * share, "Reading the result"), read_ply_steps(path))
    for name, kind in (("label", "integers"), ("confidence", "numbers")):
        column = splats.extra.get(name)
        if column is None or (name == "label" and column.dtype.kind not in "iu"):
            raise BadResult(f"{path} has no column {name} of {kind}.", "Choose the folder that a segmentation wrote.")
    return splats


def _rows_of_labels(labels: NDArray, table: Table, folder: Path) -> dict[int, NDArray[np.int64]]:
    """Return the rows of each label that occurs, ascending, once they are known to be those that the table lists."""
    low, high = (int(labels.min()), int(labels.max())) if len(labels) else (0, 0)
    # numpy sorts 16-bit integers by radix, ten times faster than by comparison.
    short = labels.astype(np.uint16)
    counts = np.bincount(short, minlength=MAX_LABEL + 1)
    there = np.flatnonzero(counts).tolist()
    if low < 0 or high > MAX_LABEL or not {0, *(row.id for row in table.objects)}.issuperset(there):
        raise BadResult(
            f"{folder / 'splats.ply'} has labels from {low} to {high}, some of which objects.json does not list.",
            "The two files are of different runs: download or segment the result again.",
        )
    for row in table.objects:
        if row.count != counts[row.id]:
            raise BadResult(
                f"{folder / 'objects.json'} counts {row.count} Gaussians of object {row.id}, "
                f"splats.ply has {counts[row.id]}.",
                "The two files are of different runs: download or segment the result again.",
            )
    order, ends = np.argsort(short, kind="stable"), np.cumsum(counts)
    return {label: order[ends[label] - counts[label] : ends[label]] for label in there}


def _part(row: Row, splats: Splats) -> Part:
    confidence = row.confidence if row.id else float(np.clip(splats.extra["confidence"].mean(), 0, 1))
    return Part(row.id, _clean(row.name) or f"Object {row.id}", row.colour, confidence, splats, row.matrix)


def _pick(splats: Splats, rows: NDArray[np.int64], step: tuple[float, str], block: int = 8192) -> Steps[Splats]:
    """Do what :meth:`Splats.pick` does in blocks of a few milliseconds, and yield ``step`` after each."""
    columns: dict[str, NDArray] = {
        field: getattr(splats, field) for field in ("means", "quats", "scales", "opacities", "sh")
    }
    picked: dict[str, NDArray] = {
        field: np.empty((len(rows), *column.shape[1:]), column.dtype) for field, column in columns.items()
    }
    extra = {field: np.empty(len(rows), column.dtype) for field, column in splats.extra.items()}
    pairs = [(columns[field], picked[field]) for field in columns]
    pairs += [(splats.extra[field], extra[field]) for field in extra]
    for start in range(0, len(rows), block):
        chosen = rows[start : start + block]
        for column, target in pairs:
            target[start : start + block] = column[chosen]
        yield step
    return Splats(**picked, extra=extra)


def _clean(name: str) -> str:
    """A name as Blender takes it: one line, and not longer than a collection's name may be."""
    printable = "".join(letter if letter.isprintable() else " " for letter in name).strip()
    return printable.encode()[:63].decode(errors="ignore")
