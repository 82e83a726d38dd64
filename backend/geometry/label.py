"""Labels of Gaussians without any mask: what stands on the planes that bound a scene, in parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backend.geometry.parts import Joining, join, merge_weak
from backend.geometry.planes import Plane, bounding_planes
from backend.geometry.surface import Samples, Voxels, voxels

CHUNK = 200_000
"""Samples that vote at a time."""


@dataclass(frozen=True)
class GeometrySettings:
    """How objects are found; the defaults were chosen on made rooms.

    Attributes:
        clearance: what is nearer to a bounding plane belongs to it, in edges of voxels, beyond the plane's own noise.
        smallest: an object has at least this many voxels.
        concave, contrast, reach: see :class:`backend.geometry.parts.Joining`.
    """

    clearance: float = 0.6
    smallest: int = 25
    weak: int = 100
    footing: float = 3.0
    concave: float = 4.0
    contrast: float = 2.0
    reach: float = 1.8


def label_samples(samples: Samples, gaussians: int, seed: int, how: GeometrySettings, least: int):
    rng = np.random.default_rng(seed)
    surface = voxels(samples, least)
    planes = bounding_planes(surface.points, surface.normals, surface.edge, rng)
    part = objects_of(surface, planes, how)
    return vote(samples, surface, part, gaussians)


def objects_of(surface: Voxels, planes: Sequence[Plane], how: GeometrySettings) -> NDArray[np.int64]:
    """Return (V,) int64, the object of each voxel from 1; 0 for the background."""
    stands, grounded = np.ones(len(surface.points), bool), np.zeros(len(surface.points), bool)
    for plane in planes:
        height = plane.height(surface.points)
        clearance = max(plane.tolerance, how.clearance * surface.edge)
        stands &= height > clearance
        grounded |= height < clearance + how.footing * surface.edge
    rows = np.flatnonzero(stands)
    joining = Joining(how.reach, how.concave, how.contrast)
    group = join(surface.points[rows], surface.normals[rows], surface.colours[rows], surface.edge, joining)
    if planes:
        group = merge_weak(surface.points[rows], group, grounded[rows], how.weak, how.reach * surface.edge)
    size = np.bincount(group, minlength=1)
    number = np.where(size >= how.smallest, np.cumsum(size >= how.smallest), 0)
    part = np.zeros(len(surface.points), np.int64)
    part[rows] = number[group]
    return part


def vote(samples: Samples, surface: Voxels, part: NDArray[np.int64], gaussians: int) -> NDArray[np.int32]:
    """Return (N,) int32, the object that most of each Gaussian's light in the samples falls on."""
    known = surface.of_sample >= 0
    of_sample = np.where(known, part[surface.of_sample], 0) if len(part) else np.zeros(len(known), np.int64)
    width = samples.ids.shape[1]
    used = samples.weights.ravel() > 0
    code = (samples.ids.astype(np.int64) * (int(part.max(initial=0)) + 1) + of_sample[:, None]).ravel()[used]
    codes, inverse = np.unique(code, return_inverse=True)
    weight = np.bincount(inverse, samples.weights.ravel()[used], len(codes))
    gaussian, label = np.divmod(codes, int(part.max(initial=0)) + 1)
    order = np.lexsort((label, -weight, gaussian))
    first = np.unique(gaussian[order], return_index=True)[1]
    out = np.zeros(gaussians, np.int32)
    out[gaussian[order][first]] = label[order][first]
    return out
