"""The cameras of a result's capture, and where their photographs lie. No bpy in here."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from protocol.errors import BadResult

from .result import MAX_JSON

CAMERAS = "cameras.json"

Extent = Annotated[int, Meta(ge=1, le=65_536)]
Row3 = tuple[float, float, float]
Row4 = tuple[float, float, float, float]


class CameraRow(msgspec.Struct, frozen=True):
    """A camera of ``cameras.json``: a pinhole without distortion.

    Attributes:
        name: of its view.
        width, height: pixels of the view's label map.
        K: intrinsics in those pixels; pixel (column x, row y) has its centre at (x + 0.5, y + 0.5).
        viewmat: world to camera; camera axes x right, y down, z forward.
        photograph: path below the capture's folder, with forward slashes, where it is known.
    """

    name: Annotated[str, Meta(min_length=1, max_length=1024)]
    width: Extent
    height: Extent
    K: tuple[Row3, Row3, Row3]
    viewmat: tuple[Row4, Row4, Row4, Row4]
    photograph: str | None = None


class CamerasFile(msgspec.Struct, frozen=True):
    format: Literal[1]
    views: Annotated[list[CameraRow], Meta(max_length=65_536)]


def read_cameras(folder: Path) -> list[CameraRow]:
    """Return the cameras of a result folder.

    Raises:
        BadResult: if ``cameras.json`` is missing or broken, or a camera is not a pinhole that Blender can have.
    """
    path = folder / CAMERAS
    remedy = "Import the result without its cameras, or segment the scene again."
    if not path.is_file():
        raise BadResult(f"The result {folder} has no {CAMERAS}.", remedy)
    if path.stat().st_size > MAX_JSON:
        raise BadResult(f"{path} has more than {MAX_JSON} bytes, which no list of cameras takes.", remedy)
    try:
        rows = msgspec.json.decode(path.read_bytes(), type=CamerasFile).views
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OSError) as error:
        raise BadResult(f"{path} is no list of cameras: {error}.", remedy) from error
    for row in rows:
        if not _is_pinhole(row):
            raise BadResult(f"The camera {row.name!r} in {path} is none that Blender can have.", remedy)
    return rows


def photograph_of(row: CameraRow, capture: Path) -> Path | None:
    """Return the photograph of a camera in the capture's folder, or None where it is not there."""
    if row.photograph is None:
        return None
    below = PurePosixPath(row.photograph)
    if below.is_absolute() or ".." in below.parts:
        return None
    path = capture / below
    return path if path.is_file() else None


def _is_pinhole(row: CameraRow) -> bool:
    K, viewmat = np.array(row.K), np.array(row.viewmat)
    if K[0, 0] <= 0 or K[1, 1] <= 0 or abs(K[0, 1]) > 1e-6 * K[0, 0]:
        return False
    rotation = viewmat[:3, :3]
    return bool(np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4) and np.linalg.det(rotation) > 0)
