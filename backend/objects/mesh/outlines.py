"""Moves the surface of an object to the outlines that its views show.

Fused depths end about half a pixel inside the outline: a cell at the edge of an object is free space in every view that
looks past it, and is seen at a grazing angle, if at all, in the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from backend.compiled import kernel
from backend.objects.mesh.object_views import Outline
from backend.objects.mesh.triangles import barycentric, doubled_area, reach
from backend.render.model import NEAR

ROUNDS = 2
"""Times that the surface is compared with the outlines: moving it changes which vertices are on its own outline."""

REACH = 3.0
"""Largest distance in pixels between the outlines of the surface and of the object; others are not of the same part."""

INWARD = 0.2
"""Pixels by which the surface stays inside the outlines: Gaussians are drawn a pixel wide at least, and end further
outside than what was photographed."""

ON_OUTLINE = 1.0
"""Largest distance in pixels of a vertex from the outline of the surface."""

EDGE_ON = 0.5
"""Largest cosine between the normal of a vertex on an outline and the view."""

ALONG = 0.7
"""Least cosine between the normal in the picture and the way to the outline."""

SMOOTHING = 40
"""Steps that spread moves over the surface."""

HOLD = 0.02
"""Weight of a vertex's own move against a neighbour's, for each view that shows it on an outline."""


def fit_outlines(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int64],
    invented: NDArray[np.bool_],
    views: Sequence[Outline],
    margin: float,
) -> NDArray[np.float64]:
    """Return vertices (V, 3) moved along their normals to where views show the outline of the object.

    Only vertices on an outline of the surface and their neighbours move, so hollows, which no outline shows, stay.

    Args:
        vertices: (V, 3), scene units.
        faces: (F, 3).
        invented: (F,) bool, faces that no camera saw.
        views: outlines of the object.
        margin: distance from invented faces and from the border of an open surface within which vertices stay, scene
            units. There an object stands on another, and its outline is where the other begins, not where its own
            surface bends away.
    """
    outlines = [(look, _inside(look.free == 0)) for look in views if (look.free > 0).any()]
    edges, free_to_move = trimesh.Trimesh(vertices, faces, process=False).edges_unique, np.ones(len(vertices), bool)
    border = np.union1d(_border(faces), faces[invented])
    if len(border):
        free_to_move = KDTree(vertices[border]).query(vertices)[0] > margin
    for _ in range(ROUNDS):
        normals = np.asarray(trimesh.Trimesh(vertices, faces, process=False).vertex_normals)
        total, weight = np.zeros(len(vertices)), np.zeros(len(vertices))
        for look, outline in outlines:
            rows, move = _moves(vertices, faces, normals, look, outline)
            total[rows] += move * free_to_move[rows]
            weight[rows] += free_to_move[rows]
        if not weight.any():
            break
        vertices = vertices + normals * _spread(total / np.maximum(weight, 1), weight, edges, free_to_move)[:, None]
    return vertices


def _border(faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the vertices at edges of a single face."""
    sides = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    edges, count = np.unique(sides, axis=0, return_counts=True)
    return np.unique(edges[count == 1])


def _moves(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int64],
    normals: NDArray[np.float64],
    look: Outline,
    outline: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the vertices on the outline of the surface in a view, (R,), and their moves along the normals, (R,).

    Args:
        outline: (H, W), see :func:`_inside`, of the object.
    """
    camera = look.camera
    there = camera.from_world(vertices)
    if there[:, 2].min() <= NEAR:
        return np.zeros(0, np.int64), np.zeros(0)
    at = there @ camera.K.T
    at = at[:, :2] / at[:, 2:]
    covered = np.zeros(outline.shape, np.bool_)
    cover(at[faces], covered)
    if covered.all() or not covered.any():
        return np.zeros(0, np.int64), np.zeros(0)
    own = _inside(covered)
    ahead = normals @ camera.viewmat[:3, :3].T
    facing = np.abs((ahead * there).sum(1)) / np.linalg.norm(there, axis=1)
    rows = np.flatnonzero(facing < EDGE_ON)
    here, way = at[rows], ahead[rows, :2]
    way /= np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-12)
    gap = _at(outline, here) - _at(own, here) - INWARD
    kept = (np.abs(_at(own, here)) < ON_OUTLINE) & (np.abs(gap) < REACH)
    kept &= _at_free_space(here, way, there[rows, 2], look, outline)
    size = there[rows, 2] / camera.K[0, 0] / np.sqrt(1 - facing[rows] ** 2)
    return rows[kept], (gap * size)[kept]


def _at_free_space(
    here: NDArray[np.float64],
    way: NDArray[np.float64],
    depth: NDArray[np.float64],
    look: Outline,
    outline: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Return (R,) bool, whether the outline of the object near a vertex is one against free space.

    A step of a pixel along the normal has to bring the vertex nearer to free space, and beyond the outline there has to
    be free space behind the vertex.

    Args:
        here: (R, 2), the vertices, column and row.
        way: (R, 2), their normals in the picture, of length 1.
        depth: (R,), their depths, scene units.
        outline: (H, W), see :func:`_inside`, of the object.
    """
    slope = _at(outline, here - way) - _at(outline, here + way)
    beyond = (here + (np.maximum(_at(outline, here), 0) + 1)[:, None] * way).astype(int)
    height, width = outline.shape
    inside = (beyond >= 0).all(1) & (beyond[:, 0] < width) & (beyond[:, 1] < height)
    column, row = np.where(inside[:, None], beyond, 0).T
    return inside & (slope > 2 * ALONG) & (look.free[row, column] > depth)


def _inside(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the distance in pixels (H, W) of each pixel's centre from the outline of a mask, negative outside."""
    inside, outside = (np.asarray(distance_transform_edt(each)) for each in (mask, ~mask))
    return (np.maximum(inside - 0.5, 0) - np.maximum(outside - 0.5, 0)).astype(np.float32)


def _at(values: NDArray[np.float32], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values (H, W) interpolated at positions (R, 2): column and row, 0.5 in the middle of the first pixel."""
    height, width = values.shape
    x, y = (at[:, 0] - 0.5).clip(0, width - 1), (at[:, 1] - 0.5).clip(0, height - 1)
    left, top = np.minimum(x.astype(int), max(width - 2, 0)), np.minimum(y.astype(int), max(height - 2, 0))
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    a, b = x - left, y - top
    upper = (1 - a) * values[top, left] + a * values[top, right]
    return (1 - b) * upper + b * ((1 - a) * values[bottom, left] + a * values[bottom, right])


def _spread(
    move: NDArray[np.float64], weight: NDArray[np.float64], edges: NDArray[np.int64], free_to_move: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return moves (V,) that are smooth over the surface; each vertex holds its own by the weight it was seen with."""
    first, second = edges.T
    count = len(move)
    degree = np.bincount(first, minlength=count) + np.bincount(second, minlength=count)
    hold = HOLD * weight * np.maximum(degree, 1)
    # Vertices that no outline shows are drawn to their place, so that moves end nearby.
    still = np.where(weight > 0, 0, 0.05 * np.maximum(degree, 1))
    found = np.where(weight > 0, move, 0)
    for _ in range(SMOOTHING):
        around = np.bincount(first, found[second], count) + np.bincount(second, found[first], count)
        found = np.where(free_to_move, (hold * move + around) / np.maximum(hold + still + degree, 1), 0)
    return found


@kernel()
def cover(corners, covered):
    """Mark the pixels (H, W) whose centres lie in triangles (F, 3, 2), corners as column and row."""
    height, width = covered.shape
    for face in range(corners.shape[0]):
        area = doubled_area(corners[face])
        if area == 0:
            continue
        top, bottom, left, right = reach(corners[face], height, width)
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                a, b, c = barycentric(corners[face], area, row, column)
                if a >= 0 and b >= 0 and c >= 0:
                    covered[row, column] = True
