"""Cuts and joins the surfaces that are shown instead of Gaussians."""

from __future__ import annotations

from typing import Any

import bmesh
import bpy
import numpy as np
from mathutils import Matrix
from mathutils.kdtree import KDTree
from numpy.typing import NDArray

from protocol.errors import BadSplats

from ..splats.columns import read_positions
from ..splats.export import world_matrix


def rows_under(surface: Any, chosen: NDArray[np.bool_], thing: Any) -> NDArray[np.bool_]:
    """Return (N,) bool: the Gaussians whose nearest vertex of the surface is one of ``chosen``, (V,) bool."""
    return _nearest_is(read_positions(surface.data), chosen, _positions(thing, surface))


def faces_over(surface: Any, thing: Any, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return (F,) bool: the faces of the surface whose nearest Gaussian is one of ``rows``, (N,) bool."""
    centres = np.empty((len(surface.data.polygons), 3), np.float32)
    surface.data.polygons.foreach_get("center", centres.ravel())
    return _nearest_is(_positions(thing, surface), rows, centres)


def cut_surface(data: Any, faces: NDArray[np.bool_]) -> Any:
    """Move ``faces``, (F,) bool, to a new mesh and return it."""
    new = data.copy()
    _drop_faces(data, faces)
    _drop_faces(new, ~faces)
    return new


def join_surface(data: Any, other: Any, matrix: NDArray[np.float64]) -> None:
    """Add the faces of a mesh, transformed by ``matrix`` (4, 4), to another."""
    moved = other.copy()
    moved.transform(Matrix(matrix.tolist()))
    both = bmesh.new()
    both.from_mesh(data)
    both.from_mesh(moved)
    both.to_mesh(data)
    both.free()
    bpy.data.meshes.remove(moved)
    data.update()


def relative(target: Any, source: Any) -> NDArray[np.float64]:
    """Return the matrix (4, 4) from the frame of an object to that of another.

    Raises:
        BadSplats: if ``target`` has a scale of zero.
    """
    matrix = np.array(world_matrix(target), np.float64)
    check_scale(target, matrix)
    return np.linalg.solve(matrix, np.array(world_matrix(source), np.float64))


def check_scale(thing: Any, matrix: NDArray[np.float64]) -> None:
    """Refuse a world matrix (4, 4) that cannot be inverted.

    Raises:
        BadSplats: if the object has a scale of zero.
    """
    if np.linalg.matrix_rank(matrix[:3, :3]) < 3:
        raise BadSplats(f"The object {thing.name!r} has a scale of zero.", "Give it another scale first.")


def _drop_faces(data: Any, faces: NDArray[np.bool_]) -> None:
    mesh = bmesh.new()
    mesh.from_mesh(data)
    mesh.faces.ensure_lookup_table()
    dropped = [mesh.faces[n] for n in np.flatnonzero(faces).tolist()]
    bmesh.ops.delete(mesh, geom=dropped, context="FACES")
    mesh.to_mesh(data)
    mesh.free()
    data.update()


def _nearest_is(
    points: NDArray[np.float32], chosen: NDArray[np.bool_], queries: NDArray[np.float32]
) -> NDArray[np.bool_]:
    if not len(points) or chosen.all() or not chosen.any():
        return np.full(len(queries), bool(len(points)) and bool(chosen.any()))
    tree = KDTree(len(points))
    for n, point in enumerate(points.tolist()):
        tree.insert(point, n)
    tree.balance()
    return chosen[np.fromiter((tree.find(query)[1] for query in queries.tolist()), np.intp, len(queries))]


def _positions(thing: Any, surface: Any) -> NDArray[np.float32]:
    matrix = relative(surface, thing)
    return (read_positions(thing.data) @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)
