"""Segmentation without masks or a model, from the geometry of the Gaussians alone.

``label`` samples the surface, removes the planes that bound the scene, splits the rest at concave folds and changes of
colour, and lets every Gaussian vote for an object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from backend.geometry.labelling import GeometrySettings, label_samples
from backend.geometry.planes import bounding_planes
from backend.geometry.surface import centre_samples, seen_samples, voxels
from backend.lift.labels import largest_first
from backend.lift.types import Lift
from backend.progress import Progress, silent
from backend.scene.types import View
from protocol.splats import Splats

__all__ = ["LIMITS", "GeometrySettings", "ground_normal", "label"]

LIMITS = "Touching objects may be joined, and flat ones may belong to the floor."
"""The limits of this method, for the warning in a report."""


def label(
    splats: Splats,
    views: Sequence[View] | None = None,
    *,
    points: NDArray[np.floating] | None = None,
    device: str = "cpu",
    seed: int = 0,
    how: GeometrySettings | None = None,
    progress: Progress = silent,
) -> Lift:
    """Label every Gaussian with its object, or 0 for background.

    Args:
        splats: N Gaussians in the frame of the cameras. Those with a non-finite value are background.
        views: whose cameras sample the surface; photographs are not read. Without views, the centres of opaque
            Gaussians are used.
        points: (P, 3), sparse points of structure from motion, in the same frame; used with views. They show planes
            that the Gaussians represent as fog.
        device: "cpu", "cuda" or "auto"; for rasterisation.
        seed: random seed.
        how: None for the defaults.
        progress: told under the stage "geometry".

    Returns:
        The labels with ``method`` "geometry" and no embedding. ``confidence`` is the share of a Gaussian's light that
            falls on its object; ``views`` is 0 everywhere, because no object has a mask.

    Raises:
        Unavailable: if the device is not available.
        Cancelled: from ``progress``.
    """
    how = how or GeometrySettings()
    finite = splats.finite
    whole = splats.pick(finite)
    if views is not None and len(views) and len(whole):
        samples = seen_samples(whole, [view.camera for view in views], device, progress)
        least = how.least_points
    else:
        samples, least = centre_samples(whole), 1
    progress("geometry", 0.7, "objects")
    found, share = label_samples(samples, len(whole), seed, how, least, points)
    progress("geometry", 1.0)
    labels, confidence = np.zeros(len(splats), np.int32), np.zeros(len(splats), np.float32)
    labels[finite], confidence[finite] = largest_first(found), share
    return Lift(labels, confidence, np.zeros(int(labels.max(initial=0)) + 1, np.int32), "geometry", asdict(how))


def ground_normal(splats: Splats, seed: int = 0) -> NDArray[np.float64]:
    """Return the unit normal (3,) of the largest bounding plane, towards the scene; zeros if there is none.

    Without cameras, this is the best guess of the up direction: objects usually stand on a floor or a table.

    Args:
        splats: N finite Gaussians.
        seed: random seed.
    """
    surface = voxels(centre_samples(splats), 1)
    planes = bounding_planes(surface.points, surface.normals, surface.edge, np.random.default_rng(seed))
    return planes[0].normal if planes else np.zeros(3)
