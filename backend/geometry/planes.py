"""The planes that bound a scene: floor, walls, ceiling, the top of a table on which all else stands.

Planes are drawn by RANSAC (Fischler and Bolles 1981), the largest first. One bounds the scene if nearly all that is
seen lies on one side of it; the side of a box does not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 400
"""Planes that are drawn for each that is found."""
MOST = 8
"""Planes that are searched for."""
LEAST_SHARE = 0.08
"""Of the voxels that belong to a plane, at least."""
ONE_SIDED = 0.93
"""Share of the voxels that lie in or on one side of a plane that bounds the scene, at least."""
ALONG = 0.8
"""Cosine between the normal of a voxel and that of its plane, at least."""
THICKNESS, NOISY_THICKNESS = 2.0, 4.0
"""Half the thickness of a plane while it is searched for, in edges of voxels; the second as of :data:`NOISY_FLAT`."""
WIDE = 0.42
"""Width of a plane that bounds the scene over that of all that is seen, at least: a tangent of a ball is no floor."""
FLAT, NOISY_FLAT = 0.95, 0.92
"""Median cosine between the normals of the voxels of a plane and its own, at least: those of a cap of a ball spread, with
a median of 0.9. The second is for scenes where no plane has the first: an untextured floor is noisy and has 0.942."""
MARGIN = 4.0
"""Voxels so many edges behind a plane are its noise."""
DEVIATIONS = 3.0
"""Half the thickness of a plane that was found, in standard deviations of its voxels, estimated by the median."""


class Plane(NamedTuple):
    """A plane that bounds the scene.

    Attributes:
        normal: (3,) float64, unit length, towards the scene.
        offset: ``normal @ point`` of its points, scene units.
        tolerance: how far points of the plane lie from it, scene units.
        share: of the voxels.
        deviation: standard deviation of its voxels from it, scene units.
    """

    normal: NDArray[np.float64]
    offset: float
    tolerance: float
    share: float
    deviation: float = 0.0

    def height(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (P,) float64, how far points (P, 3) lie above the plane; negative behind it."""
        return points @ self.normal - self.offset


def bounding_planes(
    points: NDArray[np.float64],
    normals: NDArray[np.float32],
    counts: NDArray[np.int64],
    edge: float,
    rng: np.random.Generator,
) -> list[Plane]:
    """Return the planes that bound what is seen, the largest first.

    Where none is found, the floor may be a thick layer of noise, as one without texture is. Noise has many voxels of
    few samples, so voxels then count by their samples, and normals may spread more.

    Args:
        points: (V, 3) float64, one for each voxel of the surface.
        normals: (V, 3) float32, unit length; the sign does not matter.
        counts: (V,) int64, samples of the surface in each voxel.
        edge: of a voxel, scene units.
        rng: draws planes.
    """
    found = _bounding(points, normals, np.ones(len(points)), edge, FLAT, THICKNESS, rng)
    return found or _bounding(points, normals, counts.astype(np.float64), edge, NOISY_FLAT, NOISY_THICKNESS, rng)


def _bounding(
    points: NDArray[np.float64],
    normals: NDArray[np.float32],
    counts: NDArray[np.float64],
    edge: float,
    flattest: float,
    thickness: float,
    rng: np.random.Generator,
) -> list[Plane]:
    weights = counts / max(counts.sum(), 1)
    left = np.ones(len(points), bool)
    found: list[Plane] = []
    for _ in range(MOST):
        rows = np.flatnonzero(left)
        if len(rows) < 3 or weights[rows].sum() < LEAST_SHARE:
            break
        normal, offset = _largest(points[rows], normals[rows], thickness * edge, rng)
        normal, offset = _fitted(points[rows], normals[rows], normal, offset, thickness * edge)
        height = points @ normal - offset
        near = (np.abs(height) < thickness * edge) & (np.abs(normals @ normal) > ALONG)
        share = float(weights[near & left].sum())
        if share < LEAST_SHARE:
            break
        deviation = 1.4826 * float(np.median(np.abs(height[near & left])))
        tolerance = max(DEVIATIONS * deviation, 0.5 * edge)
        margin = max(tolerance, MARGIN * edge)
        above, below = float(weights[height > margin].sum()), float(weights[height < -margin].sum())
        if above < below:
            normal, offset, height, above, below = -normal, -offset, -height, below, above
        wide = _width(points[near & left]) > WIDE * _width(points)
        flat = _median(np.abs(normals[near & left] @ normal), weights[near & left]) > flattest
        if wide and flat and below < 1 - ONE_SIDED:
            found.append(Plane(normal, offset, tolerance, share, deviation))
        # The noise of a plane is no further plane.
        left &= ~(near | ((np.abs(height) < margin) & (np.abs(normals @ normal) > ALONG)))
    return found


def _largest(
    points: NDArray[np.float64], normals: NDArray[np.float32], thickness: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], float]:
    """The plane through one point, along its normal, that most points lie in and along."""
    # A point and its normal make a plane, so far fewer draws are needed than of three points (Schnabel et al. 2007).
    some = rng.permutation(len(points))[:5000]
    drawn = rng.integers(len(points), size=DRAWS)
    best, most = 0, -1
    for number in drawn:
        normal = normals[number].astype(np.float64)
        near = np.abs((points[some] - points[number]) @ normal) < thickness
        count = np.count_nonzero(near & (np.abs(normals[some] @ normal) > ALONG))
        if count > most:
            best, most = number, count
    normal = normals[best].astype(np.float64)
    return normal, float(normal @ points[best])


def _fitted(
    points: NDArray[np.float64], normals: NDArray[np.float32], normal: NDArray[np.float64], offset: float, thick: float
) -> tuple[NDArray[np.float64], float]:
    """The plane of least squares through the points in and along the given one, fitted twice."""
    for _ in range(3):
        near = (np.abs(points @ normal - offset) < thick) & (np.abs(normals @ normal) > ALONG)
        if np.count_nonzero(near) < 3:
            break
        centre = points[near].mean(0)
        around = points[near] - centre
        fitted = np.linalg.eigh(around.T @ around)[1][:, 0]
        normal = fitted if fitted @ normal > 0 else -fitted
        offset = float(normal @ centre)
    return normal, offset


def _median(values: NDArray, weights: NDArray[np.float64]) -> float:
    """The value below which half of the weight lies."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


def _width(points: NDArray[np.float64]) -> float:
    """Diagonal of the box that holds the middle nine tenths of the points along each axis."""
    low, high = np.percentile(points, [5, 95], axis=0)
    return float(np.linalg.norm(high - low))
