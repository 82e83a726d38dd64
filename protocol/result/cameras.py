"""``cameras.json``: the camera of every view, at the size that its id map has or would have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from protocol.errors import BadResult
from protocol.json_limits import Most
from protocol.result.json_files import read_record, write_record
from protocol.result.names import CAMERAS, FORMAT, MAX_SIDE, MAX_TEXT, MAX_VIEWS, VIEW_NAME
from protocol.result.table import Matrix4, Triple

WHAT = "list of cameras"
REMEDY = "Segment the scene again."
MOST = Most.of_rows(MAX_VIEWS, objects=2, fields=12, values=64)

Side = Annotated[int, Meta(ge=1, le=MAX_SIDE)]


LENS_PARAMETERS = {"SIMPLE_PINHOLE": 3, "PINHOLE": 4, "SIMPLE_RADIAL": 4, "RADIAL": 5, "OPENCV": 8, "FULL_OPENCV": 12}
"""Number of parameters of each of COLMAP's perspective camera models."""


class LensRow(msgspec.Struct, frozen=True):
    """The lens that took a photograph.

    Attributes:
        model: COLMAP's name of the model, such as "OPENCV".
        params: its parameters in COLMAP's order, in pixels of a width x height photograph.
        width, height: the size of the calibration.
    """

    model: Literal["SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV"]
    params: tuple[float, ...]
    width: Side
    height: Side


class CameraRow(msgspec.Struct, frozen=True):
    """The camera of a view: a pinhole without distortion.

    Attributes:
        name: of the view; unique.
        width, height: pixels of the view's id map.
        K: intrinsics in those pixels; pixel (column x, row y) has its centre at (x + 0.5, y + 0.5).
        viewmat: world to camera; camera axes x right, y down, z forward.
        photograph: path of the photograph below the scene folder, with forward slashes; None if it is outside.
        lens: the lens distortion of the photograph, None if it has none. The view's id map has the same distortion.
    """

    name: Annotated[str, Meta(pattern=VIEW_NAME, max_length=MAX_TEXT)]
    width: Side
    height: Side
    K: tuple[Triple, Triple, Triple]
    viewmat: Matrix4
    photograph: str | None = None
    lens: LensRow | None = None


class CamerasFile(msgspec.Struct, frozen=True):
    """The whole file."""

    format: Literal[1]
    views: Annotated[list[CameraRow], Meta(max_length=MAX_VIEWS)]


def read_cameras(folder: Path, remedy: str = REMEDY) -> list[CameraRow]:
    """Return the cameras of a result folder.

    Raises:
        BadResult: if ``cameras.json`` is missing or broken, names a view twice, or has a lens with too few or too many
            parameters.
    """
    path = folder / CAMERAS
    if not path.is_file():
        raise BadResult(f"The result {folder} has no {CAMERAS}.", remedy)
    rows = read_record(path, CamerasFile, WHAT, remedy, MOST).views
    for name, count in Counter(row.name for row in rows).most_common(1):
        if count > 1:
            raise BadResult(f"{path} lists the view {name!r} {count} times.", remedy)
    for row in rows:
        if row.lens is not None and len(row.lens.params) != LENS_PARAMETERS[row.lens.model]:
            raise BadResult(
                f"The lens of the view {row.name!r} in {path} has {len(row.lens.params)} parameters; "
                f"{row.lens.model} has {LENS_PARAMETERS[row.lens.model]}.",
                remedy,
            )
    return rows


def write_cameras(folder: Path, rows: Sequence[CameraRow]) -> None:
    """Write ``cameras.json``.

    Raises:
        BadResult: if a value is out of range.
    """
    record = {"format": FORMAT, "views": [msgspec.to_builtins(row) for row in rows]}
    write_record(folder / CAMERAS, record, CamerasFile)


def photograph_of(row: CameraRow, capture: Path) -> Path | None:
    """Return the photograph of a camera in the capture's folder, or None if it does not exist.

    Paths that leave the folder on any system are ignored.
    """
    if row.photograph is None or "\x00" in row.photograph:
        return None
    for below in (PurePosixPath(row.photograph), PureWindowsPath(row.photograph)):
        if below.anchor or ".." in below.parts:
            return None
    path = capture / row.photograph
    return path if path.is_file() else None
