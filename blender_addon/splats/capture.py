"""The cameras of a result, checked for use in Blender. Does not import bpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from protocol.errors import BadResult
from protocol.result import cameras
from protocol.result.cameras import CameraRow
from protocol.result.names import CAMERAS

REMEDY = "Import the result without its cameras, or segment the scene again."


def read_cameras(folder: Path) -> list[CameraRow]:
    """Return the cameras of a result folder.

    Raises:
        BadResult: if ``cameras.json`` is missing or broken, or a camera is not a pinhole that Blender supports.
    """
    rows = cameras.read_cameras(folder, REMEDY)
    for row in rows:
        if not _is_pinhole(row):
            raise BadResult(
                f"The camera {row.name!r} in {folder / CAMERAS} is not supported by Blender: "
                "it needs positive focal lengths, no skew and a pure rotation.",
                REMEDY,
            )
    return rows


def _is_pinhole(row: CameraRow) -> bool:
    K, viewmat = np.array(row.K), np.array(row.viewmat)
    if K[0, 0] <= 0 or K[1, 1] <= 0 or abs(K[0, 1]) > 1e-6 * K[0, 0]:
        return False
    rotation = viewmat[:3, :3]
    return bool(np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4) and np.linalg.det(rotation) > 0)
