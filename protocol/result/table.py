"""``objects.json``: the table of objects."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from protocol.errors import BadResult
from protocol.json_limits import Most
from protocol.result.json_files import read_record, write_record
from protocol.result.names import FORMAT, MAX_LABEL, MAX_TEXT, SPLATS, TABLE

WHAT = "table of objects"
REMEDY = f"Choose a result folder written by a segmentation; it contains {SPLATS} and {TABLE}."
MOST = Most.of_rows(MAX_LABEL, fields=12, values=48)

Count = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Triple = tuple[float, float, float]
Row4 = tuple[float, float, float, float]
Matrix4 = tuple[Row4, Row4, Row4, Row4]


class ObjectRow(msgspec.Struct, frozen=True, kw_only=True):
    """One object of a scene. Lengths are in scene units, coordinates in the frame of the capture.

    Attributes:
        id: the label, 1 to :data:`MAX_LABEL`; after a segmentation 1 to K, largest object first.
        name: shown to people; initially "Object 1" and so on.
        count: Gaussians.
        min, max: corners of the axis-aligned box around the Gaussians' centres; None if the file omits them.
        centre: opacity-weighted mean of the centres, or None.
        colour: sRGB, 0 to 1; the same in pictures and in Blender.
        confidence: mean confidence of the Gaussians, weighted by opacity, 0 to 1.
        views: number of views in which the object has a mask.
        matrix: the transform of an object that was moved in Blender, from the frame of the capture (such as the
            Gaussians in ``splats.ply``) to its current position. None if it was not moved.
    """

    id: Annotated[int, Meta(ge=1, le=MAX_LABEL)]
    name: Text
    count: Count
    min: Triple | None = None
    max: Triple | None = None
    centre: Triple | None = None
    colour: tuple[Share, Share, Share]
    confidence: Share = 0.0
    views: Count = 0
    matrix: Matrix4 | None = None


class ObjectTable(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file.

    Attributes:
        scene: name of the capture.
        method, seed: of the segmentation.
        versions: of the programs that made the result.
        up: up direction in the frame of the capture; default: minus y, as for COLMAP's cameras.
        objects: ids are unique.
    """

    format: Literal[1]
    scene: Text
    method: Text = "unknown"
    seed: int | None = None
    versions: dict[str, str] = {}
    up: Triple = (0.0, -1.0, 0.0)
    objects: Annotated[list[ObjectRow], Meta(max_length=MAX_LABEL)]


def object_row(
    label: int,
    name: str,
    means: NDArray[np.float32],
    opacities: NDArray[np.float32],
    confidence: NDArray | None,
    *,
    colour: Triple,
    views: int,
    matrix: Matrix4 | None = None,
) -> ObjectRow:
    """Return the table row of an object, computed from its Gaussians.

    Args:
        means: (N, 3) of the object's Gaussians, N at least 1, in the frame of the capture.
        opacities: (N,) logits.
        confidence: (N,), 0 to 1; None counts as 0.
    """
    places = means.astype(np.float64)
    with np.errstate(over="ignore"):  # exp of a very negative logit is inf, and 1 / inf is the correct 0
        alphas = np.maximum(1.0 / (1.0 + np.exp(-opacities.astype(np.float64))), 1e-6)
    return ObjectRow(
        id=label,
        name=name,
        count=len(means),
        min=_triple(places.min(0)),
        max=_triple(places.max(0)),
        centre=_triple(np.average(places, axis=0, weights=alphas)),
        colour=_triple(np.array(colour)),
        confidence=0.0 if confidence is None else round(float(np.average(confidence, weights=alphas)), 4),
        views=views,
        matrix=matrix,
    )


def read_table(folder: Path, remedy: str = REMEDY) -> ObjectTable:
    """Return the checked table of a result folder.

    Raises:
        BadResult: if the folder is not a result, or its table is invalid or inconsistent.
    """
    path = folder / TABLE
    if not folder.is_dir():
        raise BadResult(f"The folder {folder} does not exist.", remedy)
    if not path.is_file():
        raise BadResult(f"{folder} is not a result folder: {TABLE} is missing.", remedy)
    table = read_record(path, ObjectTable, WHAT, remedy, MOST)
    if len({row.id for row in table.objects}) != len(table.objects):
        raise BadResult(f"{path} lists an object id twice.", remedy)
    if not 1e-6 < np.linalg.norm(table.up) < 1e6:
        raise BadResult(f"{path} has an invalid up direction: {list(table.up)}.", remedy)
    return table


def least_certain(rows: Iterable[ObjectRow]) -> list[ObjectRow]:
    """Return at most three objects with the lowest confidence, the lowest first; ties go to the lowest id."""
    return sorted(rows, key=lambda row: (row.confidence, row.id))[:3]


def write_table(folder: Path, table: ObjectTable) -> None:
    """Write the table of a result.

    Raises:
        BadResult: if a value is out of range.
    """
    _write(folder, {**msgspec.to_builtins(table), "format": FORMAT}, [_fields(row) for row in table.objects])


def rewrite_table(folder: Path, rows: Iterable[ObjectRow], *, present: Path, original: Path) -> None:
    """Write a result's table with other rows into ``folder``; unknown fields are kept.

    Unknown fields of the table are taken from the ``present`` result, those of a row from the row with the same id in
    the ``original`` result. Both must have been validated by :func:`read_table`.

    Raises:
        BadResult: if a value is out of range.
    """
    before = {row["id"]: row for row in _raw(original)["objects"]}
    _write(folder, _raw(present), [_fields(row, before.get(row.id)) for row in rows])


def _write(folder: Path, fields: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    write_record(folder / TABLE, {**fields, "objects": rows}, ObjectTable)


def _fields(row: ObjectRow, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the fields of a row merged over those of ``before``; absent optional values are removed."""
    own = msgspec.to_builtins(row)
    absent = {name for name, value in own.items() if value is None}
    return {name: value for name, value in {**(before or {}), **own}.items() if name not in absent}


def _raw(folder: Path) -> dict[str, Any]:
    return msgspec.json.decode((folder / TABLE).read_bytes())


def _triple(values: NDArray) -> Triple:
    x, y, z = (round(float(value), 6) for value in values)
    return (x, y, z)
