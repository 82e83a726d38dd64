"""The surface of a field as triangles: without strays, smoothed, within a budget."""

from __future__ import annotations

from typing import NamedTuple

import fast_simplification
import numpy as np
import trimesh
from numpy.typing import NDArray
from skimage.measure import marching_cubes

from backend.objects.mesh.closing import close
from backend.objects.mesh.fusion import Field

STRAY = 0.05
"""A piece of the surface with less than this share of the largest piece's area is left out."""

PATCH = 0.02
"""An invented part of the surface with less than this share of the seen area is a hole, and stays closed."""

SMOOTHING = 8
"""Steps of Taubin smoothing, which does not shrink."""


class Triangles(NamedTuple):
    """A surface.

    Attributes:
        vertices: (V, 3) float64, scene units.
        faces: (F, 3) int64, counter-clockwise seen from outside.
        invented: (F,) bool, faces that no camera saw, made to close the surface.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    invented: NDArray[np.bool_]


def extract(field: Field, watertight: bool) -> Triangles | None:
    """Return the surface where the field is 0, or None where nothing was seen of one.

    Args:
        watertight: whether what was not seen is closed too; else only small holes are.
    """
    seen = _crossing(field.distance, field.seen)
    if seen is None:
        return None
    points, faces = seen
    points = points[np.unique(faces[_large_pieces(points, faces)])] * field.cell + field.low
    closed = close(field, points)
    for axis in range(3):
        np.moveaxis(closed, axis, 0)[[0, -1]] = 1  # the surface ends within the grid
    crossing = _crossing(closed, None)
    if crossing is None:
        return None
    points, faces = crossing
    invented = ~_is_seen(points, field.seen)[faces].all(1)
    kept = _large_pieces(points, faces)
    if not watertight:
        kept &= ~_caps(points, faces, invented)
    faces, invented = faces[kept], invented[kept]
    used, faces = np.unique(faces, return_inverse=True)
    return Triangles(points[used] * field.cell + field.low, faces.reshape(-1, 3), invented)


def _crossing(distance: NDArray[np.float32], mask: NDArray[np.bool_] | None):
    """Vertices (V, 3), grid steps, and faces (F, 3) of the surface; None if there is none."""
    values = distance if mask is None else distance[mask]
    if not values.size or values.min() >= 0 or values.max() <= 0:
        return None
    try:
        points, faces, _, _ = marching_cubes(distance, 0.0, mask=mask)
    except RuntimeError:  # the mask leaves no cell that the surface crosses
        return None
    return points.astype(np.float64), faces.astype(np.int64)


def _is_seen(points: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether both ends of the grid edge that a vertex lies on were seen, (V,)."""
    low, high = np.floor(points).astype(int), np.ceil(points).astype(int)
    return seen[tuple(low.T)] & seen[tuple(high.T)]


def _large_pieces(points: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each face is of a piece that is no stray, (F,)."""
    piece, area = _pieces(points, faces)
    return area[piece] >= STRAY * area.max()


def _caps(points: NDArray[np.float64], faces: NDArray[np.int64], invented: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each face is of an invented part too large to be a hole, (F,)."""
    caps = np.zeros(len(faces), bool)
    if invented.any():
        piece, area = _pieces(points, faces[invented])
        limit = PATCH * trimesh.triangles.area(points[faces[~invented]]).sum()
        caps[np.flatnonzero(invented)] = area[piece] > limit
    return caps


def _pieces(points: NDArray[np.float64], faces: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The connected piece that each face is of (F,), and the area of each piece."""
    labels = trimesh.graph.connected_component_labels(
        np.concatenate([faces[:, :2], faces[:, 1:]]), node_count=len(points)
    )
    piece = np.unique(labels[faces[:, 0]], return_inverse=True)[1]
    return piece, np.bincount(piece, trimesh.triangles.area(points[faces]))


def finish(surface: Triangles, budget: int) -> Triangles:
    """Return the surface smoothed and with at most ``budget`` triangles."""
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    trimesh.smoothing.filter_taubin(mesh, iterations=SMOOTHING)
    vertices, faces, invented = np.asarray(mesh.vertices), surface.faces, surface.invented
    if len(faces) <= budget:
        return Triangles(vertices, faces, invented)
    middles = vertices[faces].mean(1)
    fewer, fewer_faces = fast_simplification.simplify(vertices, faces, target_count=budget)
    fewer, fewer_faces = np.asarray(fewer, np.float64), np.asarray(fewer_faces, np.int64)
    from scipy.spatial import KDTree

    nearest = KDTree(middles).query(fewer[fewer_faces].mean(1))[1]
    return Triangles(fewer, fewer_faces, invented[nearest])
