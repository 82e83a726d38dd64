"""``splats.ply`` of a result: which Gaussians belong to which object."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from plyfile import PlyData, PlyParseError

from protocol.coroutines import finish
from protocol.errors import BadResult, BadSplats
from protocol.ply import check_counts, read_ply_steps
from protocol.result.names import CONFIDENCE, LABEL, MAX_LABEL, SPLATS, TABLE
from protocol.result.table import ObjectTable
from protocol.splats import Splats

REMEDY = "Download or segment the result again."


def read_splats_steps(folder: Path, remedy: str = REMEDY) -> Generator[float, None, Splats]:
    """Read ``splats.ply`` in small steps: yields the share that is done, 0 to 1; returns the Gaussians.

    The Gaussians have the columns ``label``, of any integer type, and ``confidence``.

    Raises:
        BadResult: if the file is missing or lacks one of these columns. BadSplats: if it is not a splat file.
    """
    path = folder / SPLATS
    if not path.is_file():
        raise BadResult(f"The result has no file {path}.", remedy)
    splats = yield from read_ply_steps(path)
    for name, numbers in ((LABEL, "integer"), (CONFIDENCE, "numeric")):
        column = splats.extra.get(name)
        if column is None or (name == LABEL and column.dtype.kind not in "iu"):
            raise BadResult(f"{path} has no {numbers} column {name}.", remedy)
    return splats


def read_splats(folder: Path, remedy: str = REMEDY) -> Splats:
    """As :func:`read_splats_steps`, in one call."""
    return finish(read_splats_steps(folder, remedy))


def map_rows(folder: Path, remedy: str = REMEDY) -> NDArray:
    """Return the rows (N,) of ``splats.ply`` as a structured array, memory-mapped and read-only.

    These are all rows of the file, including those that :func:`read_splats` drops as unusable.

    Raises:
        BadResult: if the file is missing or broken, or has no column label.
    """
    path = folder / SPLATS
    if not path.is_file():
        raise BadResult(f"The result has no file {path}.", remedy)
    try:
        check_counts(path)
        rows = PlyData.read(str(path), mmap="r")["vertex"].data
    except (BadSplats, PlyParseError, KeyError, ValueError, TypeError, OSError, MemoryError, OverflowError) as error:
        raise BadResult(f"{path} cannot be read: {error}.", remedy) from error
    if LABEL not in (rows.dtype.names or ()) or rows.dtype[LABEL].kind not in "iu":
        raise BadResult(f"{path} has no integer column {LABEL}.", remedy)
    return rows


def rows_of_labels(labels: NDArray) -> dict[int, NDArray[np.int64]]:
    """Return the rows of each label, including the background 0; labels and rows are ascending."""
    if not len(labels):
        return {}
    if labels.min() >= 0 and labels.max() <= MAX_LABEL:
        labels = labels.astype(np.uint16)  # numpy sorts 16-bit integers by radix, ten times faster than by comparison
    order = np.argsort(labels, kind="stable")
    labels = labels[order]
    starts = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    return dict(zip(labels[[0, *starts]].tolist(), np.split(order, starts), strict=True))


def rows_of_objects(labels: NDArray, table: ObjectTable, folder: Path) -> dict[int, NDArray[np.int64]]:
    """As :func:`rows_of_labels`, after a check that the labels (N,) agree with the table.

    Raises:
        BadResult: if the number of Gaussians of an object differs between ``splats.ply`` and ``objects.json``.
    """
    remedy = "The two files come from different runs. Download or segment the result again."
    low, high = (int(labels.min()), int(labels.max())) if len(labels) else (0, 0)
    listed = {row.id: row.count for row in table.objects}
    rows_of = rows_of_labels(labels) if low >= 0 and high <= MAX_LABEL else None
    if rows_of is None or not rows_of.keys() <= {0, *listed}:
        raise BadResult(
            f"{folder / SPLATS} has labels from {low} to {high}, but {TABLE} does not list all of them.", remedy
        )
    for label, count in listed.items():
        found = len(rows_of.get(label, ()))
        if count != found:
            raise BadResult(
                f"{folder / TABLE} lists {count} Gaussians for object {label}, but {SPLATS} has {found}.", remedy
            )
    return rows_of
