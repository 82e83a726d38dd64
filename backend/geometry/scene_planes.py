"""The planes that bound a scene, from all that is known of it: its surface and its sparse points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.geometry.planes import Plane, bounding_planes, noisy_planes
from backend.geometry.point_planes import point_planes
from backend.geometry.surface import Samples, Voxels


def scene_planes(
    samples: Samples,
    surface: Voxels,
    points: NDArray[np.floating] | None,
    rng: np.random.Generator,
    *,
    noisy: bool = False,
) -> list[Plane]:
    """Return the planes that bound the scene: those of the surface, the largest first, then those of sparse points.

    Args:
        samples: of the surface.
        surface: their voxels.
        points: (P, 3), sparse points; None if there are none. Without cameras they are not used.
        rng: random generator.
        noisy: whether :func:`backend.geometry.planes.noisy_planes` is used if neither shows a plane.
    """
    planes = bounding_planes(surface.points, surface.normals, surface.edge, rng, samples.eyes)
    if points is not None and samples.eyes is not None:
        planes += point_planes(points, samples, surface.edge, rng.spawn(1)[0], planes)
    if planes or not noisy:
        return planes
    return noisy_planes(surface.points, surface.normals, surface.counts, surface.edge, rng, samples.eyes)
