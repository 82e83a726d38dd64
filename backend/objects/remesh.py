"""Makes the meshes of a result anew."""

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
    """Write the meshes of objects of a result, in place of those it has.

    Args:
        folder: a result folder.
        wanted: ids or names from ``objects.json``; "all" stands for every object.
        watertight, triangles: see :meth:`backend.objects.mesh.make.MeshMaker.make`.

    Returns:
        How many objects were meshed, and sentences about objects that got no mesh, or not of all their Gaussians.

    Raises:
        BadResult: if the folder is no result. NotFound: if an object is not in it. BadArgument: too few triangles.
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
