"""Objects of Blender -> a 3DGS PLY file, with what was moved, turned and scaled baked into the Gaussians."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadArgument, BadSplats
from protocol.ply import write_ply
from protocol.splats import Splats, merge
from protocol.transform import transform

from .attributes import read_splats
from .collections import splat_objects

UNMOVED = 1e-6
"""Entries of a matrix as near to the identity as this are rounding of Blender's float32, not somebody's move."""


def export_objects(collections: list[Any], path: Path) -> int:
    """Write the Gaussians of collections as one stock 3DGS PLY and return how many they are.

    The file is in the frame of the capture: an object's world matrix counts relative to the placement it was imported
    with, so an object nobody moved comes out bit for bit as it came in, and a moved one at its new place among the
    others. Columns that no splat viewer knows, such as ``label``, are left out.

    Args:
        collections: of objects, backgrounds or whole scenes; an object in several of them is written once.
        path: ends in ``.ply``; its folder exists. An earlier file of that name is replaced.

    Raises:
        BadArgument: if there is nothing to write, or ``path`` is no PLY file in an existing folder.
        BadSplats: if an object is scaled by different factors along its axes, is mirrored, or lost splat attributes.
    """
    path = Path(path)
    if path.suffix.lower() != ".ply" or not path.absolute().parent.is_dir() or path.is_dir():
        raise BadArgument(f"Gaussians cannot be exported to {path}.", "Name a .ply file in a folder that exists.")
    bpy.context.view_layer.update()
    things = {thing: collection for collection in collections for thing in splat_objects(collection)}
    pieces = [_placed(thing, _placement(collection)) for thing, collection in things.items()]
    if not sum(len(piece) for piece in pieces):
        names = ", ".join(collection.name for collection in collections[:5]) or "nothing"
        raise BadArgument(f"There are no Gaussians to export in {names}.", "Choose objects that SplatLift imported.")
    splats = pieces[0] if len(pieces) == 1 else merge(pieces)
    write_ply(splats.without_columns(), path)
    return len(splats)


def world_matrix(thing: Any) -> Any:
    """Return an object's present world matrix, also where Blender has left ``matrix_world`` behind.

    The dependency graph does not evaluate what no view layer shows, such as the Gaussians hidden under a mesh.
    """
    if thing.visible_get():
        return thing.matrix_world
    if thing.parent is None:
        return thing.matrix_basis
    return world_matrix(thing.parent) @ thing.matrix_parent_inverse @ thing.matrix_basis


def _placed(thing: Any, placement: NDArray[np.float64]) -> Splats:
    splats = _gaussians(thing)
    matrix = np.linalg.solve(placement, np.array(world_matrix(thing), np.float64))
    if np.allclose(matrix, np.eye(4), rtol=0, atol=UNMOVED):
        return splats
    try:
        return transform(splats, matrix)
    except BadSplats as error:
        raise BadSplats(f"The object {thing.name!r} cannot be exported: {error.sentence}", error.remedy) from error


def _placement(collection: Any) -> NDArray[np.float64]:
    known = collection.splatlift
    return np.eye(4) if known.kind == "NONE" else np.array(known.placement, np.float64).reshape(4, 4)


def _gaussians(thing: Any) -> Splats:
    if not getattr(thing.data, "is_editmode", False):  # a point cloud is within reach all the time
        return read_splats(thing.data)
    # In Edit Mode attributes are out of reach; a copy of the data is not in Edit Mode.
    thing.update_from_editmode()
    copy = thing.data.copy()
    try:
        return read_splats(copy)
    finally:
        bpy.data.meshes.remove(copy)
