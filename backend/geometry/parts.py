"""Voxels of a surface to objects: a signed graph over neighbours, and greedy contraction of it.

Two neighbours belong to one object unless something speaks against it. A concave fold does, for convex parts meet in
concave folds (Stein et al. 2014, "Object Partitioning using Local Convexity"), and so does a change of colour. A gap
needs no weight: voxels across it are no neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.spatial import KDTree

from backend.lift.consensus.merging import RegionGraph, contract

GROUNDED = 4
"""Voxels just above a plane that a part has at least where it stands there."""
LEANING = 1.7
"""Pairs of neighbouring voxels across a border, each counted less the more the surface folds inwards there, over the
root of the voxels of the smaller part: below this two parts only touch."""
GROWN = 5.0
"""The same, above which two parts are one thing, whatever they stand on."""


@dataclass(frozen=True)
class Joining:
    """What joins neighbours and what parts them.

    Attributes:
        reach: of neighbours, in edges of voxels.
        concave: what a concave fold of a radian between neighbours counts against them.
        contrast: what a difference of colour counts, per unit of RGB.
        tie: what being neighbours counts for them.
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
        normals: (V, 3) float32, outward; 0 where that is unknown, as which they say nothing.
        colours: (V, 3) float32, about 0 to 1.
        edge: of a voxel, scene units.
        how: what joins and what parts.
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
    """Return (P,) float64, how far the surface folds inwards between pairs of voxels, about in radians; 0 outwards."""
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
    """Join each part that is small, or stands on nothing, to the neighbour with which it shares most of its border.

    Smallest parts go first. A part without neighbours stays as it is. So does a part that is not small and only touches
    its neighbour: it leans on another object, or stands on it. A part that stands on the ground and is not small is
    joined only along a long border.

    Args:
        points: (V, 3) float64.
        normals: (V, 3) float32, outward; 0 where that is unknown.
        group: (V,) int64, the part of each, numbered from 0.
        grounded: (V,) bool, voxels just above a plane that bounds the scene.
        smallest: parts of fewer voxels are small.
        reach: how far neighbours lie apart at most, scene units.

    Returns:
        (V,) int64, parts; numbers of those that were joined are left out.
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
    waiting = {int(part) for part in np.flatnonzero(size)}
    while waiting:
        part = min(waiting, key=lambda each: (size[each], each))
        waiting.remove(part)
        near = beside.get(part)
        if not near:
            continue
        other = max(near, key=lambda each, near=near: (near[each], -each))
        border = near[other] / min(size[part], size[other]) ** 0.5
        if size[part] >= smallest and border < (GROWN if stands[part] >= GROUNDED else LEANING):
            continue
        into[into == part] = other
        size[other] += size[part]
        stands[other] += stands[part]
        waiting.add(other)
        for third, count in beside.pop(part).items():
            del beside[third][part]
            if third != other:
                beside[third][other] = beside[third].get(other, 0) + count
                beside[other][third] = beside[other].get(third, 0) + count
    return into[group]
