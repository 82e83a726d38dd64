"""The planes that bound a scene, from the sparse points of structure from motion.

A floor with little texture is fog in the Gaussians: its rendered depth lies far before or behind it, and no plane can
be found in it. Its few sparse points are corners of tiles and specks that several photographs agree on, and lie in the
plane within a fraction of a voxel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, Delaunay, QhullError

from backend.geometry.planes import EYES_BEHIND, MARGIN, WIDE, Plane, least_squares_plane, noise_of, width
from backend.geometry.surface import Samples

FEWEST = 100
"""Least number of points."""
DRAWS = 1000
"""Random candidates per plane."""
SCORED = 2000
"""Most points that candidates are compared on."""
MOST = 3
"""Most planes that are searched for."""
LEAST_SHARE = 0.12
"""Least share of the points in a plane."""
PAST = 0.25
"""Most of the samples that cameras see behind a bounding plane, past its edge. They are at most 7 % for the floors that
were measured, 15 % for a mattress, and 36 % for a table, which has the floor there."""
COMPARED = 20_000
"""Most samples that are compared with a plane."""
RIM = 1, 99
"""Percentiles of the points of a plane along its axes between which they show how far it reaches."""
SAME = 0.98
"""Cosine of the angle between planes that are the same if they are near each other."""


def point_planes(
    points: NDArray[np.floating],
    samples: Samples,
    edge: float,
    rng: np.random.Generator,
    known: Sequence[Plane] = (),
) -> list[Plane]:
    """Return the planes that bound the scene and are not known yet, the largest first.

    Args:
        points: (P, 3), sparse points.
        samples: of the surface, seen by cameras.
        edge: of a voxel of the surface, scene units; points of a plane lie within it.
        rng: random generator.
        known: planes that were found in the surface.
    """
    assert samples.eyes is not None
    eyes = samples.eyes
    points = np.asarray(points, np.float64)
    points = points[np.isfinite(points).all(1)]
    left = np.ones(len(points), bool)
    found: list[Plane] = []
    for _ in range(MOST):
        largest = _largest(points[left], edge, rng) if np.count_nonzero(left) >= FEWEST else None
        if largest is None:
            break
        normal, offset = largest
        if np.count_nonzero(eyes @ normal < offset) > len(eyes) / 2:
            normal, offset = -normal, -offset
        height = points @ normal - offset
        near = np.abs(height) < edge
        share = float(near.mean())
        if share < LEAST_SHARE:
            break
        deviation, tolerance = noise_of(height[near], edge)
        plane = Plane(normal, offset, tolerance, share, deviation)
        wide = width(points[near]) > WIDE * width(points)
        behind = np.count_nonzero(plane.height(eyes) < -MARGIN * edge)
        if (
            wide
            and behind <= EYES_BEHIND * len(eyes)
            and _seen_past(plane, points[near], edge, samples, rng) <= PAST
            and not _is_known(plane, points[near], known, edge)
        ):
            found.append(plane)
        left &= np.abs(height) >= MARGIN * edge
    return found


def _largest(
    points: NDArray[np.float64], edge: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], float] | None:
    """Return the plane through three points with the most others near it, fitted to these by least squares.

    None if the points lie in a line.
    """
    some = points[rng.permutation(len(points))[:SCORED]]
    corners = points[rng.integers(len(points), size=(DRAWS, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1)
    # Three points in a line define no plane.
    usable = length > edge * edge
    if not usable.any():
        return None
    normals = normals[usable] / length[usable, None]
    offsets = (normals * corners[usable, 0]).sum(1)
    counts = [np.count_nonzero(np.abs(some @ normals[i] - offsets[i]) < edge) for i in range(len(normals))]
    best = int(np.argmax(counts))
    normal, offset = normals[best], float(offsets[best])
    for _ in range(3):
        near = points[np.abs(points @ normal - offset) < edge]
        if len(near) < 3:
            break
        normal, centre = least_squares_plane(near)
        offset = float(normal @ centre)
    return normal, offset


def _seen_past(
    plane: Plane, points: NDArray[np.float64], edge: float, samples: Samples, rng: np.random.Generator
) -> float:
    """Return the share of the samples that lie behind a plane and are seen past the edge of its points (P, 3).

    What is seen through the points of a plane is fog of that plane, wherever its rendered depth lies.
    """
    assert samples.eyes is not None
    assert samples.views is not None
    rows = rng.permutation(len(samples.points))[:COMPARED]
    eyes, ends = samples.eyes[samples.views[rows]], samples.points[rows]
    above, height = plane.height(eyes), plane.height(ends)
    behind = (height < -MARGIN * edge) & (above > 0)
    part = (above[behind] / (above[behind] - height[behind]))[:, None]
    crossed = eyes[behind] + part * (ends[behind] - eyes[behind])
    axes = np.linalg.svd(plane.normal[None])[2][1:].T
    flat = points @ axes
    low, high = np.percentile(flat, RIM, axis=0)
    rim = flat[((flat >= low) & (flat <= high)).all(1)]
    try:
        inside = Delaunay(rim[ConvexHull(rim).vertices]).find_simplex(crossed @ axes) >= 0
    except QhullError:
        # The points of the plane lie in a line.
        return 1.0
    return float(np.count_nonzero(~inside)) / max(len(rows), 1)


def _is_known(plane: Plane, points: NDArray[np.float64], known: Sequence[Plane], edge: float) -> bool:
    """Whether one of the known planes has nearly the same normal, and lies near the points (P, 3) of this one."""
    return any(
        abs(plane.normal @ other.normal) > SAME
        and np.median(np.abs(other.height(points))) < max(other.tolerance, MARGIN * edge)
        for other in known
    )
