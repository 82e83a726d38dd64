"""Joins the meshes that a result contains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from backend.objects.mesh.level_set import level_set
from protocol.result.meshes import Mesh, read_mesh
from protocol.result.names import LABEL, mesh_path
from protocol.result.table import ObjectTable
from protocol.splats import Splats

CELLS = 96
"""Cells along the longest side of the grid of a level set."""


def stored_mesh(folder: Path, table: ObjectTable, labels: Sequence[int], splats: Splats) -> Mesh | None:
    """Return the meshes of objects as one, with moves from Blender applied, or None if none has a surface.

    Args:
        folder: a result.
        labels: of the objects.
        splats: moved Gaussians of at least these objects, with labels; an object without a stored mesh gets the level
            set of its Gaussians.

    Raises:
        BadResult: if a mesh is broken.
    """
    matrices = {row.id: row.matrix for row in table.objects if row.matrix is not None}
    found = []
    for label in labels:
        path = mesh_path(folder, label)
        if path.is_file():
            found.append(_moved(read_mesh(path), matrices.get(label)))
        elif (mesh := level_set(splats.pick(splats.extra[LABEL] == label), CELLS)) is not None:
            found.append(mesh)
    return _joined(found) if found else None


def _moved(mesh: Mesh, matrix: object) -> Mesh:
    if matrix is None:
        return mesh
    turn = np.array(matrix, np.float64)
    vertices = (mesh.vertices @ turn[:3, :3].T + turn[:3, 3]).astype(np.float32)
    # A mirrored surface would be inside out.
    faces = mesh.faces if np.linalg.det(turn[:3, :3]) > 0 else mesh.faces[:, ::-1]
    return mesh._replace(vertices=vertices, faces=faces)


def _joined(meshes: Sequence[Mesh]) -> Mesh:
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    faces = [mesh.faces + np.int32(start) for mesh, start in zip(meshes, starts, strict=True)]
    marks = [np.zeros(len(mesh.faces), bool) if mesh.invented is None else mesh.invented for mesh in meshes]
    vertices, colours = (np.concatenate([getattr(mesh, name) for mesh in meshes]) for name in ("vertices", "colours"))
    return Mesh(vertices, np.concatenate(faces), colours, np.concatenate(marks))
