"""Sparse points from a PLY file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from plyfile import PlyData, PlyParseError

from protocol.errors import BadScene, BadSplats
from protocol.ply import check_counts

GREY = 128


def read_points(file: Path) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return positions (P, 3) float32 and colours (P, 3) uint8; grey if the points have no colour.

    Raises:
        BadScene: if the file cannot be read or its vertices have no position.
    """
    try:
        check_counts(file)
        vertex = PlyData.read(file)["vertex"]
        xyz = np.stack([np.asarray(vertex[axis], np.float64) for axis in "xyz"], 1)
        has_colour = all(channel in vertex for channel in ("red", "green", "blue"))
        rgb = (
            np.stack([np.asarray(vertex[channel]) for channel in ("red", "green", "blue")], 1).astype(np.uint8)
            if has_colour
            else np.full(xyz.shape, GREY, np.uint8)
        )
    except BadSplats as error:
        raise BadScene(error.sentence, "Export the points again.") from error
    except (PlyParseError, KeyError, ValueError, OSError, MemoryError) as error:
        raise BadScene(f"The sparse points {file} cannot be read: {error}.", "Export the points again.") from error
    return usable_points(xyz, rgb)


def usable_points(xyz: NDArray[np.float64], rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Drop points whose position is not finite in float32."""
    kept = (np.abs(xyz) <= np.finfo(np.float32).max).all(1)
    return xyz[kept].astype(np.float32), rgb[kept]
