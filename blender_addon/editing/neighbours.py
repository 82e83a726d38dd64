"""Neighbourhoods of Gaussians: the usual neighbour distance, connected pieces, the surroundings of a selection.

Blender ships numpy, but no spatial index that works on arrays. So points are sorted into the cells of a grid, and
points in the same or adjacent cells count as near. A million points take a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..splats.attributes import QUATS, SCALES
from ..splats.columns import read_positions
from ..splats.native import ROTATION, SCALE, is_native
from .columns import read_column

Floats = NDArray[np.float32]
Cells = NDArray[np.int64]

NEIGHBOUR = 6
"""The usual distance is that to the neighbour of this rank: within it, points on a surface are just connected."""
SAMPLES = 200
"""Points at which the distance is measured; the usual distance is the median."""

_BITS = 21
_MOST = 1 << (_BITS - 1)
"""Most cells along an axis; three indices share 64 bits."""
_AHEAD = ((0, 1), (1, -1), (1, 0), (1, 1))
"""Half of the 8 neighbours of a column of cells in x and y, so that each pair of columns is visited once."""


def usual_distance(points: Floats) -> float:
    """Return the median distance to the sixth-nearest neighbour over a sample of the points (N, 3).

    Coincident points count as separate neighbours; 0 for fewer than two points.
    """
    count = len(points)
    rank = min(NEIGHBOUR, count - 1)
    if rank < 1:
        return 0.0
    low, high = _bounds(points)
    axis = int(np.argmax(high - low))
    # One row per axis, because sums over rows are several times faster than sums within them.
    ordered = points[np.argsort(points[:, axis], kind="stable")].T.astype(np.float64)
    picks = np.random.default_rng(0).integers(0, count, SAMPLES) if count > SAMPLES else np.arange(count)
    return float(np.median([_distance_to(ordered, axis, int(pick), rank) for pick in picks]))


def connected_pieces(data: Any, gap: float) -> NDArray[np.intp]:
    """Return the index (N,) of the piece that each Gaussian of a data-block belongs to, 0 for the largest.

    Gaussians are connected if their centres, or the ends of their axes at one standard deviation, are in the same or in
    adjacent cells. The cell width is ``gap`` times the usual distance.
    """
    points = read_positions(data)
    width = gap * usual_distance(points)
    ends, owners = _ends(data, points, width)
    return connected(np.concatenate([points, *ends]), width, owners)[: len(points)]


def connected(points: Floats, width: float, owners: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
    """Return the index (N,) of the piece that each point belongs to, 0 for the piece with the most points.

    Args:
        points: (N, 3).
        width: of a cell; points in the same or in adjacent cells are connected.
        owners: (M,) for the last M points, the point that each of them is connected to in any case.
    """
    if len(points) == 0 or width <= 0:
        return np.zeros(len(points), np.intp)
    cells, cell_of = np.unique(cells_of(points, width), return_inverse=True)
    links = list(touching(cells))
    if owners is not None and len(owners):
        links.append((cell_of[owners], cell_of[len(points) - len(owners) :]))
    roots = _components(
        len(cells), np.concatenate([link[0] for link in links]), np.concatenate([link[1] for link in links])
    )[cell_of]
    _, numbers, counts = np.unique(roots, return_inverse=True, return_counts=True)
    ranks = np.empty(len(counts), np.intp)
    ranks[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return ranks[numbers]


def around(points: Floats, rows: NDArray[np.bool_], reach: float) -> NDArray[np.bool_]:
    """Return (N,) bool: ``rows`` and the points near them.

    Near means the same or an adjacent cell; cells are half the ``reach`` wide. So points within half the reach are
    always included, and points beyond twice the reach never.
    """
    if reach <= 0 or not rows.any():
        return rows.copy()
    cells, cell_of = np.unique(cells_of(points, reach / 2), return_inverse=True)
    chosen = np.zeros(len(cells), bool)
    chosen[cell_of[rows]] = True
    near = chosen.copy()
    for one, other in touching(cells):
        near[other[chosen[one]]] = True
        near[one[chosen[other]]] = True
    return rows | near[cell_of]


def _distance_to(ordered: NDArray[np.float64], axis: int, at: int, rank: int) -> float:
    """Return the distance from one of the points, (3, N) sorted along an axis, to its neighbour of a rank."""
    here = ordered[:, at]
    count = ordered.shape[1]
    half = 512
    while True:
        low, high = max(0, at - half), min(count, at + half + 1)
        squares = np.square(ordered[0, low:high] - here[0])
        for own, each in zip(here[1:], ordered[1:, low:high], strict=True):
            squares += np.square(each - own)
        distance = float(np.sqrt(np.partition(squares, min(rank, len(squares) - 1))[min(rank, len(squares) - 1)]))
        below = low == 0 or here[axis] - ordered[axis, low] >= distance
        above = high == count or ordered[axis, high - 1] - here[axis] >= distance
        if below and above:
            return distance
        half *= 4


def _ends(data: Any, points: Floats, width: float) -> tuple[list[Floats], NDArray[np.intp]]:
    """Return the ends of axes that are longer than a cell, and the row of the Gaussian of each."""
    if is_native(data):
        sizes, quats = read_column(data, SCALE), read_column(data, ROTATION)
    else:
        sizes = np.exp(np.stack([read_column(data, name) for name in SCALES], axis=1))
        quats = np.stack([read_column(data, name) for name in QUATS], axis=1)
    ends: list[Floats] = []
    owners: list[NDArray[np.intp]] = []
    for axis in range(3):
        long = np.flatnonzero(sizes[:, axis] > width)
        offsets = _axis(quats[long], axis) * sizes[long, axis : axis + 1]
        finite = np.isfinite(offsets).all(1)
        long, offsets = long[finite], offsets[finite]
        ends += [points[long] + offsets, points[long] - offsets]
        owners += [long, long]
    return ends, np.concatenate(owners)


def _axis(quats: Floats, axis: int) -> Floats:
    """Return column ``axis`` (M, 3) of the rotation matrices of quaternions w, x, y, z."""
    w, x, y, z = (quats / np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), 1e-12)).T
    columns = (
        (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)),
        (2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)),
        (2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.stack(columns[axis], axis=1).astype(np.float32)


def cells_of(points: Floats, width: float) -> Cells:
    """Return the cell (N,) of each point as one number; adjacent cells have constant differences."""
    low, high = _bounds(points)
    width = max(width, float((high - low).max()) / (_MOST - 4))
    x, y, z = ((points - low) / width).astype(np.int64).T + 1
    return x << 2 * _BITS | y << _BITS | z


def _bounds(points: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the minimum and maximum coordinates (3,); one axis at a time is ten times faster than all at once."""
    columns = [points[:, axis] for axis in range(3)]
    return np.array([each.min() for each in columns], float), np.array([each.max() for each in columns], float)


def _step(x: int, y: int, z: int) -> int:
    return (x << 2 * _BITS) + (y << _BITS) + z


def touching(cells: Cells) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield each pair of adjacent ``cells`` (ascending) once, as two arrays of indices.

    Cells along z have consecutive numbers, so one search finds three neighbours in another column.
    """
    above = np.flatnonzero(cells[1:] == cells[:-1] + 1)
    yield above, above + 1
    last = len(cells) - 1
    for x, y in _AHEAD:
        at = np.minimum(np.searchsorted(cells, cells + _step(x, y, -1)), last)
        for z in (-1, 0, 1):
            met = cells[at] == cells + _step(x, y, z)
            there = np.flatnonzero(met)
            yield there, at[there]
            at = np.minimum(at + met, last)


def _components(count: int, a: NDArray[np.intp], b: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the smallest node (count,) in the connected component of each node, for links between ``a`` and ``b``.

    Roots are attached to smaller linked roots and paths are shortened by pointer jumping, until no link connects two
    trees (Shiloach and Vishkin, "An O(log n) parallel connectivity algorithm", 1982).
    """
    parents = np.arange(count)
    while len(a):
        a, b = parents[a], parents[b]
        apart = a != b
        a, b = a[apart], b[apart]
        parents[np.maximum(a, b)] = np.minimum(a, b)
        while not np.array_equal(grand := parents[parents], parents):
            parents = grand
    return parents
