"""Unwraps a mesh: charts that are seen along one of six axes, packed into an atlas.

xatlas takes 4 to 13 s for a mesh of 40,000 triangles, this 0.5 s. Along an axis that is within 55 degrees of the
normals, a length is foreshortened to 0.58 at the least, which a finer texel makes up for.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import trimesh
from numpy.typing import NDArray

from backend.compiled import kernel
from backend.objects.mesh.triangles import barycentric, doubled_area, reach

PADDING = 2
"""Texels between charts; interpolation mixes neighbours, and smaller copies of a texture mix more of them."""

SMALL = 24
"""A chart with fewer faces joins a neighbouring chart if its faces can be seen along the axis of that chart."""

SEEN_ALONG = 0.25
"""Least cosine between a face and the axis of a chart that it joins."""

ROUNDS = 4
"""Times that small charts are joined; a round may make a chart small enough for the next."""

EDGE = 1e-6
"""Barycentric coordinate below which a texel lies on an edge, which two faces share."""


class Unwrapped(NamedTuple):
    """A mesh in an atlas.

    Attributes:
        corners: (F, 3, 2) float64, texels: column and row of the corners of each face; texel (0, 0) covers 0 to 1.
        owner: (H, W) int32, the face at the centre of each texel; -1 for none.
        weights: (H, W, 3) float32, barycentric coordinates of the centre in that face.
    """

    corners: NDArray[np.float64]
    owner: NDArray[np.int32]
    weights: NDArray[np.float32]


def unwrap(vertices: NDArray[np.float64], faces: NDArray[np.int64], texel: float) -> Unwrapped:
    """Return charts of a mesh that do not overlap.

    Args:
        vertices: (V, 3), scene units.
        faces: (F, 3), at least one.
        texel: size of a texel, scene units.
    """
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    pairs = np.asarray(mesh.face_adjacency)
    normals = np.asarray(mesh.vertex_normals)[faces].mean(1)
    axis = _joined(_axis_of(normals), normals, pairs)
    chart = _pieces(axis, pairs, np.ones(len(faces), bool))
    while True:
        flat, depth = _flattened(vertices[faces] / texel, axis)
        corners, shape = _packed(flat, chart)
        owner = np.full(shape, -1, np.int32)
        weights = np.zeros((*shape, 3), np.float32)
        hidden = np.zeros(len(faces), bool)
        # The nearest layer keeps its chart; faces behind it get charts of their own.
        paint(np.lexsort((-depth, chart)), corners, owner, weights, hidden)
        if not hidden.any():
            return Unwrapped(corners, owner, weights)
        axis[hidden] = _axis_of(mesh.face_normals[hidden])
        chart[hidden] = chart.max() + 1 + _pieces(axis, pairs, hidden)[hidden]


def _axis_of(normals: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the axis nearest to each normal, (N,): 0 to 2 for x, y, z and 3 to 5 for their opposites."""
    return np.concatenate([normals, -normals], 1).argmax(1)


def _joined(axis: NDArray[np.int64], normals: NDArray[np.float64], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the axes (F,) with small charts joined to a neighbour."""
    along = np.concatenate([normals, -normals], 1)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    for _ in range(ROUNDS):
        chart = _pieces(axis, pairs, np.ones(len(axis), bool))
        small = np.bincount(chart)[chart] < SMALL
        edge = both[small[both[:, 0]] & (chart[both[:, 0]] != chart[both[:, 1]])]
        votes = np.zeros((chart.max() + 1, 6), np.int64)
        np.add.at(votes, (chart[edge[:, 0]], axis[edge[:, 1]]), 1)
        target = votes.argmax(1)[chart]
        moves = small & votes.any(1)[chart] & (along[np.arange(len(axis)), target] > SEEN_ALONG)
        axis = np.where(moves, target, axis)
    return axis


def _pieces(axis: NDArray[np.int64], pairs: NDArray[np.int64], used: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the connected piece of one axis that each used face belongs to, (F,)."""
    links = pairs[(axis[pairs[:, 0]] == axis[pairs[:, 1]]) & used[pairs].all(1)]
    labels = trimesh.graph.connected_component_labels(links, node_count=len(axis))
    return np.unique(labels, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _flattened(
    triangles: NDArray[np.float64], axis: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return faces as seen along their axis: corners (F, 3, 2) and height towards the viewer (F,)."""
    right, down, sign = (axis + 1) % 3, (axis + 2) % 3, np.where(axis < 3, 1.0, -1.0)
    flat = np.stack([np.take_along_axis(triangles, each[:, None, None], 2)[..., 0] for each in (right, down)], -1)
    # Mirrored, a chart seen along a negative axis has its faces the same way round as the others.
    flat[..., 0] *= sign[:, None]
    return flat, sign * np.take_along_axis(triangles, (axis % 3)[:, None, None], 2)[..., 0].mean(1)


def _packed(flat: NDArray[np.float64], chart: NDArray[np.int64]) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Put charts in rows, the tallest first; return the corners (F, 3, 2) and the height and width of the atlas."""
    count = int(chart.max()) + 1
    low, high = np.full((count, 2), np.inf), np.full((count, 2), -np.inf)
    np.minimum.at(low, chart, flat.min(1))
    np.maximum.at(high, chart, flat.max(1))
    there = np.flatnonzero(np.isfinite(low[:, 0]))
    size = np.zeros((count, 2), np.int64)
    size[there] = np.ceil(high[there] - low[there]).astype(np.int64) + 2 * PADDING
    width = max(int(size[:, 0].max()), int(np.ceil(np.sqrt(1.1 * size.prod(1).sum()))))
    width = -(-width // 4) * 4
    place = np.zeros((count, 2), np.int64)
    column = row = tall = 0
    for each in there[np.argsort(-size[there, 1], kind="stable")]:
        if column + size[each, 0] > width:
            column, row, tall = 0, row + tall, 0
        place[each] = column, row
        column, tall = column + int(size[each, 0]), max(tall, int(size[each, 1]))
    height = -(-(row + tall) // 4) * 4
    low[~np.isfinite(low)] = 0
    corners = flat - low[chart][:, None] + (place[chart] + PADDING)[:, None]
    return corners.astype(np.float64, copy=False), (height, width)


@kernel()
def paint(order, corners, owner, weights, hidden):
    """Draw faces into an atlas in the given order; a face that another one overlaps is marked in ``hidden``.

    Args:
        corners, owner, weights: see :class:`Unwrapped`; owner is -1 at first.
        hidden: (F,) bool, false at first.
    """
    height, width = owner.shape
    for face in order:
        area = doubled_area(corners[face])
        if area == 0:
            continue
        top, bottom, left, right = reach(corners[face], height, width)
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                a, b, c = barycentric(corners[face], area, row, column)
                if a < 0 or b < 0 or c < 0:
                    continue
                if owner[row, column] < 0:
                    owner[row, column] = face
                    weights[row, column, 0], weights[row, column, 1], weights[row, column, 2] = a, b, c
                elif min(a, b, c) > EDGE and min(weights[row, column]) > EDGE:
                    hidden[face] = True
