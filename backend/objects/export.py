"""One or several objects of a result folder as a file for other programs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trimesh

from backend.objects.mesh.stored import stored_mesh
from protocol.errors import BadArgument, NotFound
from protocol.ply import write_ply
from protocol.result.gaussians import read_splats
from protocol.result.names import LABEL
from protocol.result.table import ObjectTable, read_table
from protocol.splats import Splats
from protocol.transform import transform

MESH_ENDINGS = (".obj", ".glb", ".stl")


def export_objects(folder: Path, wanted: Sequence[str], to: Path) -> int:
    """Write objects of a result to ``to`` and return how many Gaussians (splats) or triangles (meshes) it holds.

    Args:
        folder: a result folder.
        wanted: ids or names from ``objects.json``; "all" stands for every object. Objects that were moved in Blender
            are written where they are now.
        to: ``.ply`` for a stock 3DGS splat, ``.obj``, ``.glb`` or ``.stl`` for one mesh.

    Raises:
        BadResult: if the folder is no result. NotFound: if an object is not in it. BadSplats: if one was scaled
            unevenly. BadArgument: if the ending is unknown or the objects have no surface.
    """
    ending = to.suffix.lower()
    if ending != ".ply" and ending not in MESH_ENDINGS:
        raise BadArgument(f"The ending of {to} is not known.", f"Use .ply or one of {', '.join(MESH_ENDINGS)}.")
    table = read_table(folder)
    labels = labels_of(table, wanted, folder)
    splats = read_splats(folder)
    chosen = _placed(splats.pick(np.isin(splats.extra[LABEL], labels)), table)
    if ending == ".ply":
        write_ply(chosen.without_columns(), to)
        return len(chosen)
    mesh = stored_mesh(folder, table, labels, chosen)
    if mesh is None:
        raise BadArgument(f"The objects {', '.join(wanted)} are too thin for a surface.", "Export them as .ply.")
    shape = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=mesh.colours, process=False)
    data = shape.export(file_type=ending[1:])
    _write_whole(to, data if isinstance(data, bytes) else str(data).encode())
    return len(mesh.faces)


def labels_of(table: ObjectTable, wanted: Sequence[str], folder: Path) -> list[int]:
    """Return the labels of objects named by id or name; "all" stands for every object.

    Raises:
        NotFound: if one is not in the table.
    """
    if "all" in wanted:
        return [row.id for row in table.objects]
    by_word = {word: row.id for row in table.objects for word in (str(row.id), row.name)}
    for word in wanted:
        if word not in by_word:
            raise NotFound(f"{folder} has no object {word!r}.", f"It has 1 to {len(table.objects)}.")
    return [by_word[word] for word in wanted]


def _placed(splats: Splats, table: ObjectTable) -> Splats:
    """Move the objects that were moved in Blender to where they are now."""
    moved = {row.id: row.matrix for row in table.objects if row.matrix is not None}
    for label, matrix in moved.items():
        rows = np.flatnonzero(splats.extra[LABEL] == label)
        own = transform(splats.pick(rows), np.array(matrix))
        for name in ("means", "quats", "scales", "sh"):
            getattr(splats, name)[rows] = getattr(own, name)
    return splats


def _write_whole(path: Path, data: bytes) -> None:
    handle, part = tempfile.mkstemp(dir=path.absolute().parent, suffix=path.suffix)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    os.replace(part, path)
