"""The planes that bound a scene: floor, walls, ceiling, the top of a table that carries everything.

Planes are found by RANSAC (Fischler and Bolles 1981), the largest first. A plane bounds the scene if nearly all visible
surface lies on one side of it, which is not true for the side of a box, and nearly all cameras are on that side too,
which is not true for the back of a chair that was photographed from all around.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 400
"""Random candidates per plane."""
MOST = 8
"""Most planes that are searched for."""
LEAST_SHARE = 0.08
"""Least share of the voxels that belong to a plane."""
ONE_SIDED = 0.93
"""Least share of the voxels in or on one side of a bounding plane."""
EYES_BEHIND = 0.2
"""Most of the cameras that may be behind a bounding plane."""
ALONG = 0.8
"""Least cosine between the normal of a voxel and that of its plane."""
THICKNESS, NOISY_THICKNESS = 2.0, 4.0
"""Half the thickness of a plane during the search, in voxel edges; the second belongs to :data:`NOISY_FLAT`."""
WIDE = 0.42
"""Least width of a bounding plane relative to the width of the scene; excludes tangent planes of round objects."""
FLAT, NOISY_FLAT = 0.95, 0.92
"""Least median cosine between the normals of a plane's voxels and its own normal; excludes caps of round objects, which
have a median of 0.9. The second applies if no plane reaches the first: an untextured floor is noisy and has 0.942."""
MARGIN = 4.0
"""Voxels up to this many edges behind a plane count as its noise."""
DEVIATIONS = 3.0
"""Half the thickness of a found plane, in standard deviations of its voxels, estimated from the median."""


class Plane(NamedTuple):
    """A plane that bounds the scene.

    Attributes:
        normal: (3,) float64, unit length, towards the scene.
        offset: ``normal @ point`` of its points, scene units.
        tolerance: largest distance of points of the plane from it, scene units.
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
    edge: float,
    rng: np.random.Generator,
    eyes: NDArray[np.float64] | None = None,
) -> list[Plane]:
    """Return the planes that bound the visible surface, the largest first.

    Args:
        points: (V, 3) float64, one per voxel of the surface.
        normals: (V, 3) float32, unit length, of any sign.
        edge: of a voxel, scene units.
        rng: random generator.
        eyes: (C, 3) float64, centres of the cameras; None if unknown.
    """
    return _bounding(points, normals, np.ones(len(points)), edge, FLAT, THICKNESS, eyes, rng)


def noisy_planes(
    points: NDArray[np.float64],
    normals: NDArray[np.float32],
    counts: NDArray[np.int64],
    edge: float,
    rng: np.random.Generator,
    eyes: NDArray[np.float64] | None = None,
) -> list[Plane]:
    """As :func:`bounding_planes`, for a surface in which that finds none: a floor without texture is a thick layer of
    noise.

    Voxels are weighted by their samples, as noise has many voxels with few samples, and the limits on normals are
    wider.

    Args:
        counts: (V,) int64, samples of the surface in each voxel.
    """
    return _bounding(points, normals, counts.astype(np.float64), edge, NOISY_FLAT, NOISY_THICKNESS, eyes, rng)


def noise_of(heights: NDArray[np.float64], edge: float) -> tuple[float, float]:
    """Return the deviation and the tolerance of a :class:`Plane` from the heights (P,) of its points above it."""
    deviation = 1.4826 * float(np.median(np.abs(heights)))
    return deviation, max(DEVIATIONS * deviation, 0.5 * edge)


def _bounding(
    points: NDArray[np.float64],
    normals: NDArray[np.float32],
    counts: NDArray[np.float64],
    edge: float,
    flattest: float,
    thickness: float,
    eyes: NDArray[np.float64] | None,
    rng: np.random.Generator,
) -> list[Plane]:
    eyes = np.zeros((0, 3)) if eyes is None else eyes
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
        deviation, tolerance = noise_of(height[near & left], edge)
        margin = max(tolerance, MARGIN * edge)
        above, below = float(weights[height > margin].sum()), float(weights[height < -margin].sum())
        if above < below:
            normal, offset, height, above, below = -normal, -offset, -height, below, above
        wide = width(points[near & left]) > WIDE * width(points)
        flat = _median(np.abs(normals[near & left] @ normal), weights[near & left]) > flattest
        behind = np.count_nonzero(eyes @ normal - offset < -margin)
        if wide and flat and below < 1 - ONE_SIDED and behind <= EYES_BEHIND * len(eyes):
            found.append(Plane(normal, offset, tolerance, share, deviation))
        # The noise of a plane must not become another plane.
        left &= ~(near | ((np.abs(height) < margin) & (np.abs(normals @ normal) > ALONG)))
    return found


def _largest(
    points: NDArray[np.float64], normals: NDArray[np.float32], thickness: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], float]:
    """Return the plane with the most inliers among planes through one point along its normal."""
    # A point and its normal define a plane, so far fewer draws are needed than with three points (Schnabel et al.
    # 2007).
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
    """Return the least-squares plane through the inliers of the given one, fitted twice."""
    for _ in range(3):
        near = (np.abs(points @ normal - offset) < thick) & (np.abs(normals @ normal) > ALONG)
        if np.count_nonzero(near) < 3:
            break
        fitted, centre = least_squares_plane(points[near])
        normal = fitted if fitted @ normal > 0 else -fitted
        offset = float(normal @ centre)
    return normal, offset


def least_squares_plane(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the unit normal (3,), of any sign, and a point (3,) of the plane nearest to points (P, 3)."""
    centre = points.mean(0)
    around = points - centre
    return np.linalg.eigh(around.T @ around)[1][:, 0], centre


def _median(values: NDArray, weights: NDArray[np.float64]) -> float:
    """The value below which half of the weight lies."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


def width(points: NDArray[np.float64]) -> float:
    """Return the diagonal of the box of the middle nine tenths of the points along each axis."""
    low, high = np.percentile(points, [5, 95], axis=0)
    return float(np.linalg.norm(high - low))
