"""The result folder of a segmentation, read and checked completely before import. Does not import bpy."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from protocol.coroutines import map_steps
from protocol.errors import BadResult
from protocol.result.colours import BACKGROUND, colour_of
from protocol.result.gaussians import read_splats_steps, rows_of_labels, rows_of_objects
from protocol.result.names import CONFIDENCE, LABEL, PART, PARTS, ROW, SPLATS
from protocol.result.parts import PartTable, read_parts
from protocol.result.table import Matrix4, read_table
from protocol.splats import Splats

BLOCK = 8192
"""Gaussians copied between two yields: a few milliseconds of work."""


@dataclass(frozen=True)
class Inner:
    """A part of an object: the Gaussians of one value of the column ``part``; 0 for those that belong to no part.

    Attributes:
        colour: sRGB, 0 to 1.
        rows: (n,) int64, its rows of the object's Gaussians.
    """

    label: int
    name: str
    colour: tuple[float, float, float]
    confidence: float
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """An object of the scene, or its background with label 0.

    Attributes:
        colour: sRGB, 0 to 1.
        matrix: the transform of an object that an edit has moved, from the frame of the capture; else None.
        inner: the parts of the object in order of label, Gaussians of no part last; empty if it has no parts.
    """

    label: int
    name: str
    colour: tuple[float, float, float]
    confidence: float
    splats: Splats
    matrix: Matrix4 | None = None
    inner: tuple[Inner, ...] = ()


@dataclass(frozen=True)
class Result:
    """A whole result: its objects with Gaussians in order of label, then the background if there is one."""

    folder: Path
    scene: str
    up: tuple[float, float, float]
    parts: list[Part]


Kind = TypeVar("Kind")
SORTING = "Separating objects"
"""Note shown after the file is read, while its rows are sorted by label."""

Steps = Generator[tuple[float, str], None, Kind]
"""Work in small steps: yields the share that is done, 0 to 1, and a short note; returns the result."""


def read_result(folder: Path) -> Steps[Result]:
    """Read and check a result folder in small steps; returns the :class:`Result`.

    Raises:
        BadResult: if the folder is incomplete, or its files contradict each other.
        BadSplats: if ``splats.ply`` is not a splat file.
    """
    yield 0.0, "Reading the result"
    table = read_table(folder)
    splats = yield from map_steps(lambda share: (0.5 * share, "Reading the result"), read_splats_steps(folder))
    yield 0.5, SORTING
    rows_of = rows_of_objects(splats.extra[LABEL], table, folder)
    yield 0.5, "Collecting objects"
    objects = {row.id: row for row in table.objects}
    known = read_parts(folder)
    parts: list[Part] = []
    for label in [*sorted(rows_of.keys() - {0}), *(rows_of.keys() & {0})]:
        row = objects.get(label)
        name = "background" if row is None else _clean(row.name) or f"Object {label}"
        fraction = 0.5 + 0.5 * len(parts) / len(rows_of)
        picked = yield from _pick(splats, rows_of[label], (fraction, name))
        # An edited result stores the original row of each Gaussian.
        picked = picked.with_columns(**{ROW: picked.extra.get(ROW, rows_of[label]).astype(np.int32)})
        if row is None:
            confidence = float(np.clip(picked.extra[CONFIDENCE].mean(), 0, 1))
            parts.append(Part(label, name, BACKGROUND, confidence, picked))
        else:
            inner = _inner(picked, name, known, folder, max(objects))
            parts.append(Part(label, name, row.colour, row.confidence, picked, row.matrix, inner))
    return Result(folder, _clean(table.scene) or folder.name, table.up, parts)


def _inner(splats: Splats, name: str, known: PartTable | None, folder: Path, highest: int) -> tuple[Inner, ...]:
    """Return the parts of an object that a result holds.

    Args:
        highest: label of an object; the colours of parts follow those of objects, so that they differ.

    Raises:
        BadResult: if Gaussians belong to a part that the table does not list.
    """
    column = splats.extra.get(PART)
    if known is None or known.level != "whole" or column is None or column.dtype.kind not in "iu":
        return ()
    rows_of = rows_of_labels(column)
    if rows_of.keys() <= {0}:
        return ()
    rows = {row.id: row for row in known.parts}
    unknown = rows_of.keys() - {0, *rows}
    if unknown:
        raise BadResult(
            f"{folder / SPLATS} has the part {min(unknown)}, which {PARTS} does not list.",
            "The two files come from different runs. Download or segment the result again.",
        )
    inner = []
    for number, label in enumerate([*sorted(rows_of.keys() - {0}), *(rows_of.keys() & {0})], 1):
        own, row = rows_of[label], rows.get(label)
        title = f"{name} part {number}" if label else f"{name} rest"
        colour = (row and row.colour) or colour_of(highest + label)
        confidence = float(np.clip(splats.extra[CONFIDENCE][own].mean(), 0, 1))
        inner.append(Inner(label, _clean((row and row.name) or title), colour, confidence, own))
    return tuple(inner)


def _pick(splats: Splats, rows: NDArray[np.int64], step: tuple[float, str]) -> Steps[Splats]:
    """As :meth:`Splats.pick`, in blocks; yields ``step`` after each."""
    columns: dict[str, NDArray] = {
        field: getattr(splats, field) for field in ("means", "quats", "scales", "opacities", "sh")
    }
    picked: dict[str, NDArray] = {
        field: np.empty((len(rows), *column.shape[1:]), column.dtype) for field, column in columns.items()
    }
    extra = {field: np.empty(len(rows), column.dtype) for field, column in splats.extra.items()}
    pairs = [(columns[field], picked[field]) for field in columns]
    pairs += [(splats.extra[field], extra[field]) for field in extra]
    for start in range(0, len(rows), BLOCK):
        chosen = rows[start : start + BLOCK]
        for column, target in pairs:
            target[start : start + BLOCK] = column[chosen]
        yield step
    return Splats(**picked, extra=extra)


def _clean(name: str) -> str:
    """Return a name that Blender accepts: one line, not longer than a collection's name may be."""
    printable = "".join(letter if letter.isprintable() else " " for letter in name).strip()
    return printable.encode()[:63].decode(errors="ignore")
