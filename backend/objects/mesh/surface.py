"""Extracts the surface of a field as triangles: without strays, smoothed, within a triangle budget."""

from __future__ import annotations

from typing import NamedTuple

import fast_simplification
import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter, zoom
from scipy.spatial import KDTree
from skimage.measure import marching_cubes

from backend.objects.mesh.closing import close
from backend.objects.mesh.fusion import Field

STRAY = 0.05
"""Pieces of the surface with less than this share of the largest piece's area are dropped."""

PATCH = 0.02
"""An invented part with less than this share of the seen area is a small hole, and stays closed."""

SMOOTHING = 8
"""Steps of Taubin smoothing, which does not shrink the surface."""


class Triangles(NamedTuple):
    """A triangle mesh.

    Attributes:
        vertices: (V, 3) float64, scene units.
        faces: (F, 3) int64, counter-clockwise seen from outside.
        invented: (F,) bool, faces that close the surface where no camera saw it.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    invented: NDArray[np.bool_]


def surface_of(field: Field, watertight: bool, budget: int) -> Triangles | None:
    """Return the smoothed zero surface of the field, or None if no surface was seen.

    Args:
        watertight: whether unseen parts are closed too; otherwise only small holes are.
        budget: most triangles.
    """
    surface = extract(field, watertight)
    if surface is None:
        return None
    finished = finish(surface, budget)
    fine, share = surface, 1.0
    # Collapsed edges may leave folds, where more than two faces meet. A coarser grid always gives a closed surface.
    while watertight and not is_closed(finished.faces):
        share *= min(0.9, (budget / len(surface.faces)) ** 0.5)
        coarser = extract(field, watertight, share)
        if coarser is None:
            break
        # Coarse cells extend further into unseen space, so the fine surface determines which faces are invented.
        surface = coarser._replace(invented=_marks(fine, coarser.vertices, coarser.faces))
        if len(surface.faces) <= budget:
            finished = finish(surface, budget)
    return finished


def extract(field: Field, watertight: bool, share: float = 1.0) -> Triangles | None:
    """Return the zero surface of the field, or None if no surface was seen.

    Args:
        watertight: see :func:`surface_of`.
        share: of the grid points along each axis that are used.
    """
    crossing = _crossing(field.distance, field.seen)
    if crossing is None:
        return None
    points, faces = crossing
    points = points[np.unique(faces[_large_pieces(points, faces)])] * field.cell + field.low
    closed, seen = close(field, points), field.seen
    for axis in range(3):
        np.moveaxis(closed, axis, 0)[[0, -1]] = 1  # forces the surface to end within the grid
    if share < 1:
        closed = np.asarray(zoom(closed, share, order=1))
        seen = np.asarray(zoom(seen.astype(np.float32), share, order=1)) > 0.999
    step = field.cell * (np.array(field.seen.shape) - 1) / (np.array(seen.shape) - 1)
    crossing = _crossing(closed, None)
    if crossing is None:
        return None
    points, faces = crossing
    invented = ~_is_seen(points, seen)[faces].all(1)
    kept = _large_pieces(points, faces)
    if not watertight:
        kept &= ~_caps(points, faces, invented)
    faces, invented = faces[kept], invented[kept]
    used, faces = np.unique(faces, return_inverse=True)
    return Triangles(points[used] * step + field.low, faces.reshape(-1, 3), invented)


def _crossing(distance: NDArray[np.float32], seen: NDArray[np.bool_] | None):
    """Return vertices (V, 3), grid steps, and faces (F, 3) of the surface; None if there is none.

    Args:
        seen: (X, Y, Z), grid points to use; None for all.
    """
    values = distance if seen is None else distance[seen]
    if not values.size or values.min() >= 0 or values.max() <= 0:
        return None
    try:
        points, faces, _, _ = marching_cubes(distance, 0.0, mask=None if seen is None else _whole_cells(seen))
    except RuntimeError:  # no used cell contains the surface
        return None
    return points.astype(np.float64), faces.astype(np.int64)


def _whole_cells(seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the cells whose eight corners are all seen, at their last corner, where marching_cubes expects the mask."""
    whole = np.zeros_like(seen)
    whole[1:, 1:, 1:] = minimum_filter(seen, size=2, origin=0)[1:, 1:, 1:]
    return whole


def _is_seen(points: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return whether both ends of the grid edge of each vertex were seen, (V,)."""
    low, high = np.floor(points).astype(int), np.ceil(points).astype(int)
    return seen[tuple(low.T)] & seen[tuple(high.T)]


def _large_pieces(points: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each face belongs to a piece that is large enough, (F,)."""
    piece, area = _pieces(points, faces)
    return area[piece] >= STRAY * area.max()


def _caps(points: NDArray[np.float64], faces: NDArray[np.int64], invented: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return whether each face belongs to an invented part that is too large for a hole, (F,)."""
    caps = np.zeros(len(faces), bool)
    if invented.any():
        piece, area = _pieces(points, faces[invented])
        limit = PATCH * trimesh.triangles.area(points[faces[~invented]]).sum()
        caps[np.flatnonzero(invented)] = area[piece] > limit
    return caps


def _pieces(points: NDArray[np.float64], faces: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the connected piece of each face (F,), and the area of each piece."""
    labels = trimesh.graph.connected_component_labels(
        np.concatenate([faces[:, :2], faces[:, 1:]]), node_count=len(points)
    )
    piece = np.unique(labels[faces[:, 0]], return_inverse=True)[1]
    area = np.bincount(piece, trimesh.triangles.area(points[faces]))
    return piece.astype(np.int64, copy=False), np.asarray(area, np.float64)


def finish(surface: Triangles, budget: int) -> Triangles:
    """Return the surface smoothed and with at most ``budget`` triangles; a closed surface may get folds."""
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    trimesh.smoothing.filter_taubin(mesh, iterations=SMOOTHING)
    vertices, faces, invented = np.asarray(mesh.vertices), surface.faces, surface.invented
    if len(faces) <= budget:
        return Triangles(vertices, faces, invented)
    fewer, fewer_faces = _simplified(vertices, faces, budget)
    return Triangles(fewer, fewer_faces, _marks(Triangles(vertices, faces, invented), fewer, fewer_faces))


def _marks(surface: Triangles, vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether the nearest face of a surface is invented, for each of the given faces."""
    middles = surface.vertices[surface.faces].mean(1)
    return surface.invented[KDTree(middles).query(vertices[faces].mean(1))[1]]


def _simplified(vertices: NDArray[np.float64], faces: NDArray[np.int64], budget: int) -> tuple[NDArray, NDArray]:
    """Return vertices and faces after quadric edge collapse (Garland and Heckbert 1997), without fins."""
    simplified = fast_simplification.simplify(vertices, faces.astype(np.int32), target_count=budget)
    points, corners = np.asarray(simplified[0], np.float64), np.asarray(simplified[1], np.int64)
    while True:
        ordered = np.sort(corners, axis=1)
        _, kind, count = np.unique(ordered, axis=0, return_inverse=True, return_counts=True)
        # Two faces on the same corners are back to back; a face with two corners has no area.
        useless = (count[kind.reshape(-1)] > 1) | (ordered[:, :2] == ordered[:, 1:]).any(1)
        if not useless.any():
            used, corners = np.unique(corners, return_inverse=True)
            return points[used], corners.reshape(-1, 3)
        corners = corners[~useless]


def is_closed(faces: NDArray[np.int64]) -> bool:
    """Return whether each edge has two faces."""
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    return bool((np.unique(edges, axis=0, return_counts=True)[1] == 2).all())
