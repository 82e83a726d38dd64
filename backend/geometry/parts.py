"""Groups the voxels of a surface into objects: a signed graph over neighbours, and greedy edge contraction.

Two neighbours belong to one object unless there is evidence against it: a concave fold, because convex parts meet in
concave folds (Stein et al. 2014, "Object Partitioning using Local Convexity"), or a change of colour. A gap needs no
weight, because voxels across it are not neighbours.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.spatial import KDTree

from backend.lift.consensus.merging import RegionGraph, contract

GROUNDED = 4
"""Least number of voxels just above a plane for a part to rest on it."""
LEANING = 1.7
"""Below this contact two parts only touch. Contact is the number of pairs of neighbouring voxels across the border,
weighted less for concave folds, divided by the root of the number of voxels of the smaller part."""
GROWN = 5.0
"""Above this contact two parts are one object, whatever they rest on."""


@dataclass(frozen=True)
class Joining:
    """Weights for joining and separating neighbours.

    Attributes:
        reach: neighbourhood radius, in voxel edges.
        concave: weight against joining per radian of a concave fold.
        contrast: weight against joining per unit of RGB difference.
        tie: weight for joining neighbours.
    """

    reach: float = 1.8
    concave: float = 4.0
    contrast: float = 2.0
    tie: float = 1.0


def join(
    points: NDArray[np.float64],
    normals: NDArray[np.float32],
    colours: NDArray[np.float32],
    edge: float,
    how: Joining,
) -> NDArray[np.int64]:
    """Return (V,) int64, the object of each voxel, numbered from 0.

    Args:
        points: (V, 3) float64, scene units.
        normals: (V, 3) float32, outward; 0 if unknown, which disables the fold term.
        colours: (V, 3) float32, about 0 to 1.
        edge: of a voxel, scene units.
        how: the weights.
    """
    if len(points) < 2:
        return np.zeros(len(points), np.int64)
    pairs = KDTree(points).query_pairs(how.reach * edge, output_type="ndarray")
    first, second = pairs[:, 0], pairs[:, 1]
    fold = _folds(points, normals, first, second)
    contrast = np.linalg.norm(colours[second] - colours[first], axis=1)
    weight = how.tie - how.concave * fold - how.contrast * contrast
    both = np.concatenate([first, second]), np.concatenate([second, first])
    graph = coo_matrix((np.tile(weight, 2), both), shape=(len(points), len(points)))
    group = contract(RegionGraph(csr_matrix(graph), np.zeros((len(points), 0), np.float32)), 0.0)
    return np.unique(group, return_inverse=True)[1]


def _folds(
    points: NDArray[np.float64], normals: NDArray[np.float32], first: NDArray[np.intp], second: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return (P,) float64, the concavity between pairs of voxels, about in radians; 0 for convex folds."""
    step = points[second] - points[first]
    step /= np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-12)
    return np.maximum(0, -((normals[second] - normals[first]) * step).sum(1))


def merge_weak(
    points: NDArray[np.float64],
    normals: NDArray[np.float32],
    group: NDArray[np.int64],
    grounded: NDArray[np.bool_],
    smallest: int,
    reach: float,
) -> NDArray[np.int64]:
    """Join each small or unsupported part to the neighbour with which it shares the longest border.

    The smallest parts are joined first. A part without neighbours is not changed. A part that is not small is joined
    only along a long border; with a short one it leans on another object or rests on it. If it stands on the ground,
    the border must be longer still.

    Args:
        points: (V, 3) float64.
        normals: (V, 3) float32, outward; 0 if unknown.
        group: (V,) int64, the part of each voxel, numbered from 0.
        grounded: (V,) bool, voxels just above a plane that bounds the scene.
        smallest: parts with fewer voxels are small.
        reach: largest distance of neighbours, scene units.

    Returns:
        (V,) int64, parts; numbers are not contiguous after joining.
    """
    if len(points) < 2:
        return group
    rows = KDTree(points).query_pairs(reach, output_type="ndarray")
    rows = rows[group[rows[:, 0]] != group[rows[:, 1]]]
    borders, border = np.unique(np.sort(group[rows], axis=1), axis=0, return_inverse=True)
    shared = np.bincount(border.ravel(), np.maximum(0, 1 - _folds(points, normals, *rows.T)), len(borders))
    beside: dict[int, dict[int, float]] = {}
    for (a, b), count in zip(borders.tolist(), shared.tolist(), strict=True):
        beside.setdefault(a, {})[b] = count
        beside.setdefault(b, {})[a] = count
    size = np.bincount(group)
    stands = np.bincount(group, grounded)
    into = np.arange(len(size))
    waiting = [(int(size[part]), int(part)) for part in np.flatnonzero(size)]
    heapq.heapify(waiting)
    while waiting:
        count, part = heapq.heappop(waiting)
        # A part that has grown waits again, so its earlier entry is outdated.
        if count != size[part]:
            continue
        near = beside.get(part)
        if not near:
            continue
        other = max(near, key=lambda each, near=near: (near[each], -each))
        border = near[other] / min(size[part], size[other]) ** 0.5
        if size[part] >= smallest and border < (GROWN if stands[part] >= GROUNDED else LEANING):
            continue
        into[part] = other
        size[other] += size[part]
        stands[other] += stands[part]
        heapq.heappush(waiting, (int(size[other]), other))
        for third, count in beside.pop(part).items():
            del beside[third][part]
            if third != other:
                beside[third][other] = beside[third].get(other, 0) + count
                beside[other][third] = beside[other].get(third, 0) + count
    while not np.array_equal(into, into[into]):
        into = into[into]
    return into[group]
