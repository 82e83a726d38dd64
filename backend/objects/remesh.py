"""Recreates the meshes of a result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from backend.objects.export import ids_of
from backend.objects.mesh.make import TRIANGLES
from backend.objects.result import read_cameras, write_meshes
from backend.progress import Progress, silent
from protocol.errors import BadArgument
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
    device: str = "auto",
    progress: Progress = silent,
) -> tuple[int, list[str]]:
    """Replace the meshes of objects of a result.

    Args:
        folder: a result folder.
        wanted: ids or names from ``objects.json``; "all" means every object.
        watertight, triangles: see :meth:`backend.objects.mesh.make.MeshMaker.make`.

    Returns:
        The number of meshed objects, and sentences about objects without a mesh and about skipped Gaussians.

    Raises:
        BadResult: if the folder is not a result. NotFound: if it lacks an object. BadArgument: if triangles are too
            few.
    """
    if triangles < FEWEST_TRIANGLES:
        raise BadArgument(f"{triangles} triangles are too few for a mesh.", f"Allow at least {FEWEST_TRIANGLES}.")
    labels = [label for label in ids_of(read_table(folder), wanted, folder) if label]
    splats = read_splats(folder)
    cameras = list(read_cameras(folder).values()) if (folder / CAMERAS).is_file() else []
    notes = write_meshes(
        folder, splats.without_columns(), splats.extra[LABEL], cameras, device, progress,
        only=labels, watertight=watertight, triangles=triangles,
    )  # fmt: skip
    return len(labels), notes
