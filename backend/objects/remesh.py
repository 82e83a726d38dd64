"""Recreates the meshes of a result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.objects.export import ids_of
from backend.objects.mesh.make import TRIANGLES
from backend.objects.photographs import photographed
from backend.objects.result import read_cameras, write_meshes
from backend.progress import Progress, silent
from backend.scene import read_image
from protocol.errors import BadArgument, Unavailable
from protocol.result.gaussians import read_splats
from protocol.result.names import CAMERAS, LABEL
from protocol.result.table import read_table

FEWEST_TRIANGLES = 100


def remesh(
    folder: Path,
    wanted: Sequence[str],
    *,
    watertight: bool = False,
    triangles: int = TRIANGLES,
    textures: bool = False,
    scene: Path | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> tuple[int, list[str]]:
    """Replace the meshes of objects of a result.

    Args:
        folder: a result folder.
        wanted: ids or names from ``objects.json``; "all" means every object.
        watertight, triangles, textures: see :meth:`backend.objects.mesh.make.MeshMaker.make`.
        scene: the folder of the capture, to take the colours from its photographs; None for rendered pictures.

    Returns:
        The number of meshed objects, and sentences about objects without a mesh and about skipped Gaussians.

    Raises:
        BadResult: if the folder is not a result. NotFound: if it lacks an object. BadArgument: if triangles are too
            few, the result has no cameras for textures, or no photograph of ``scene`` belongs to it.
            Unavailable: if the meshes cannot be written.
    """
    if triangles < FEWEST_TRIANGLES:
        raise BadArgument(f"{triangles} triangles are too few for a mesh.", f"Allow at least {FEWEST_TRIANGLES}.")
    labels = [label for label in ids_of(read_table(folder), wanted, folder) if label]
    splats = read_splats(folder)
    cameras = read_cameras(folder) if (folder / CAMERAS).is_file() else {}
    if textures and not cameras:
        raise BadArgument(f"{folder} has no cameras to bake textures with.", "Remove --textures.")
    names = list(cameras)
    views = {} if scene is None else photographed(scene, names, folder)

    def read(number: int) -> NDArray[np.uint8] | None:
        return read_image(views[names[number]]) if names[number] in views else None

    notes = _write(
        folder, splats.without_columns(), splats.extra[LABEL], list(cameras.values()), device, progress,
        only=labels, watertight=watertight, triangles=triangles, textures=textures, photograph=read if views else None,
    )  # fmt: skip
    return len(labels), notes


def _write(folder: Path, *given: Any, **options: Any) -> list[str]:
    try:
        return write_meshes(folder, *given, **options)
    except OSError as error:
        raise Unavailable(
            f"The meshes cannot be written to {folder}: {error.strerror or error}.",
            "Choose a result with write permission.",
        ) from error
