"""Labels of Gaussians without masks: objects on the bounding planes of a scene, split into parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.geometry.parts import Joining, join, merge_weak
from backend.geometry.planes import Plane
from backend.geometry.scene_planes import scene_planes
from backend.geometry.surface import Samples, Voxels, voxels

FEWEST_SAMPLES = 10
"""Samples of an object in a view below which the view does not tell whether it shows all of the object."""
BORDER = 0.2
"""Samples at the border of the image, over the root of all samples of an object in a view, above which the image cuts
it off."""


@dataclass(frozen=True)
class GeometrySettings:
    """Settings of the geometric segmentation; the defaults were chosen on few rooms, see docs/benchmarks.md.

    Attributes:
        clearance: surface nearer to a bounding plane belongs to it, in voxel edges beyond the plane's own noise.
        smallest: least number of voxels of an object.
        fewest: least number of Gaussians of an object: noise of a surface can fill many voxels with the light of few.
        weak: a part with fewer voxels is joined to a neighbour.
        footing: voxels within this distance above the clearance of a plane count as resting on it, in voxel edges.
        far: a part with a larger mean depth, as a multiple of the median depth of everything seen, is background.
        least_points: least number of samples in a voxel, if cameras are given.
        rise: least median height of an object above each plane, in standard deviations of the voxels of that plane;
            lower parts are noise of an untextured floor.
        support: least number of views that four fifths of an object's samples come from, or a tenth of all views if
            that is less; parts that fewer views show float in front of a camera.
        sure: an object on which this share of its Gaussians' light falls, on average, is kept.
        unsure: an object with less than this share is background.
        seen: an object between both is kept if it is seen in so many views, as a share of what the most seen object is.
            Scraps of a poorly reconstructed background are neither sharp nor seen from many sides.
        whole: least share of the views of an object that show all of it. A surface that the image cuts off in nearly
            every view, such as a wall behind the scene, is background.
        concave, contrast, reach: see :class:`backend.geometry.parts.Joining`.
    """

    clearance: float = 0.6
    smallest: int = 80
    fewest: int = 15
    weak: int = 100
    footing: float = 3.0
    far: float = 1.5
    least_points: int = 3
    rise: float = 7.0
    support: int = 6
    sure: float = 0.85
    unsure: float = 0.7
    seen: float = 0.4
    whole: float = 0.15
    concave: float = 4.0
    contrast: float = 2.0
    reach: float = 1.8


def label_samples(
    samples: Samples,
    gaussians: int,
    seed: int,
    how: GeometrySettings,
    least: int,
    points: NDArray[np.floating] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return labels and the share of light that agrees with the label, both (N,).

    Args:
        samples: of the surface of N Gaussians.
        gaussians: N.
        seed: random seed.
        how: the settings.
        least: least number of samples in a voxel.
        points: (P, 3), sparse points, or None.
    """
    surface = voxels(samples, least)
    rng = np.random.default_rng(seed)
    planes = scene_planes(samples, surface, points, rng, noisy=True)
    part = supported(samples, surface, objects_of(surface, planes, how), how.support, how.whole)
    labels, share = vote(samples, surface, part, gaussians)
    labels[np.bincount(labels)[labels] < how.fewest] = 0
    return without_scraps(samples, surface, part, labels, share, how), share


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
    # Without a known outside, a fold is neither concave nor convex.
    normals = surface.normals[rows] * surface.sided
    group = join(surface.points[rows], normals, surface.colours[rows], surface.edge, joining)
    if planes:
        group = merge_weak(surface.points[rows], normals, group, grounded[rows], how.weak, how.reach * surface.edge)
    size = np.bincount(group, minlength=1)
    depth = np.bincount(group, surface.depths[rows], len(size)) / np.maximum(size, 1)
    kept = (size >= how.smallest) & (depth < how.far)
    for plane in planes:
        low = plane.height(surface.points[rows]) < how.rise * plane.deviation
        kept &= np.bincount(group, low, len(size)) < 0.5 * np.maximum(size, 1)
    number = np.where(kept, np.cumsum(kept), 0)
    part = np.zeros(len(surface.points), np.int64)
    part[rows] = number[group]
    return part


def supported(
    samples: Samples, surface: Voxels, part: NDArray[np.int64], support: int, whole: float
) -> NDArray[np.int64]:
    """Return (V,) the object of each voxel from 1, without those that few views show, or that few show whole.

    Args:
        part: (V,) int64, the object of each voxel from 1; 0 for the background.
        support, whole: see :class:`GeometrySettings`.
    """
    if samples.views is None or samples.at_border is None or not part.any():
        return part
    counts = _samples_in_views(samples, surface, part)
    at_border = _samples_in_views(samples, surface, part, samples.at_border)
    reached = np.cumsum(-np.sort(-counts, axis=1), axis=1)
    needed = np.count_nonzero(reached < 0.8 * reached[:, -1:], axis=1) + 1
    shown = counts >= FEWEST_SAMPLES
    # Noise of the depth scatters single samples; a square has about 4 sqrt(n) of its n samples at its outline.
    cut = at_border > BORDER * np.sqrt(counts)
    kept = (needed >= min(support, counts.shape[1] / 10)) & ((shown & ~cut).sum(1) >= whole * shown.sum(1))
    kept[0] = False
    return np.where(kept, np.cumsum(kept), 0)[part]


def without_scraps(
    samples: Samples,
    surface: Voxels,
    part: NDArray[np.int64],
    labels: NDArray[np.int32],
    share: NDArray[np.float32],
    how: GeometrySettings,
) -> NDArray[np.int32]:
    """Return the labels (N,) without objects that hold little of their Gaussians' light and are seen in few views.

    Args:
        part: (V,) int64, the object of each voxel from 1; 0 for the background.
        labels: (N,) int32, the same objects.
        share: (N,) float32, the share of each Gaussian's light that falls on its object.
        how: see ``sure``, ``unsure`` and ``seen`` of :class:`GeometrySettings`.
    """
    if samples.views is None or not labels.any():
        return labels
    shown = (_samples_in_views(samples, surface, part) >= FEWEST_SAMPLES).sum(1)
    size = np.bincount(labels, minlength=len(shown))
    light = np.bincount(labels, share, len(shown)) / np.maximum(size, 1)
    present = size > 0
    present[0] = False
    often = shown >= how.seen * shown[present].max()
    kept = present & (light >= np.where(often, how.unsure, how.sure))
    return np.where(kept[labels], labels, 0).astype(np.int32)


def _samples_in_views(
    samples: Samples, surface: Voxels, part: NDArray[np.int64], weights: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Return (C, V) float64, the number of samples of each object in each view, or the sum of their ``weights`` (P,);
    object 0 is the background."""
    assert samples.views is not None
    used = surface.of_sample >= 0
    views, parts = int(samples.views.max(initial=0)) + 1, int(part.max(initial=0)) + 1
    code = part[surface.of_sample[used]] * views + samples.views[used]
    each = np.ones(len(code)) if weights is None else weights[used]
    return np.bincount(code, each, parts * views).astype(np.float64).reshape(parts, views)


def vote(
    samples: Samples, surface: Voxels, part: NDArray[np.int64], gaussians: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return (N,) the object that receives most of each Gaussian's light, and that share; 0 if unseen."""
    out, share = np.zeros(gaussians, np.int32), np.zeros(gaussians, np.float32)
    if not len(samples.ids):
        return out, share
    # Depth outliers, -1, map to the last entry.
    of_sample = np.append(part, 0)[surface.of_sample]
    parts = int(part.max(initial=0)) + 1
    used = samples.weights.ravel() > 0
    code = (samples.ids.astype(np.int64) * parts + of_sample[:, None]).ravel()[used]
    codes, inverse = np.unique(code, return_inverse=True)
    weight = np.bincount(inverse, samples.weights.ravel()[used], len(codes))
    gaussian, label = np.divmod(codes, parts)
    order = np.lexsort((label, -weight, gaussian))
    seen, first = np.unique(gaussian[order], return_index=True)
    out[seen] = label[order][first]
    share[seen] = weight[order][first] / np.bincount(gaussian, weight, gaussians)[seen]
    return out, share
