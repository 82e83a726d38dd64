"""Samples of the surface that Gaussians represent: points with normals and colours.

The centres of Gaussians scatter about the surface, but their rendered depth does not: each sampled pixel gives a point
at its median depth, its colour, and the Gaussians that contribute to it. Points are collected in voxels of a few
pixels. Without cameras the centres of opaque Gaussians are used as points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from backend.progress import Progress, silent
from backend.render.surface import LightSource
from backend.scene.split import evenly_spread
from backend.scene.types import Camera
from protocol.sh import SH0
from protocol.splats import Splats

VIEWS = 120
"""Most views that are sampled, evenly spaced."""
PIXELS = 10_000
"""Pixels sampled per view, on a grid."""
LEAST_STEP = 4
"""Largest distance of sampled pixels; larger views are reduced. A voxel is a few pixels wide, so denser samples would
not fill it with more points."""
STRONGEST = 12
"""Gaussians recorded per pixel."""
COVERED = 0.5
"""A pixel whose transmittance is above this shows no surface."""
PIXELS_PER_VOXEL = 2.5
"""Edge of a voxel in pixels at the median depth."""
LEAST_POINTS = 3
"""Voxels with fewer points are depth outliers."""
KEPT, COARSER, COARSEST = 0.6, 1.2, 2.0
"""Voxels must contain this share of the samples. Until they do, their edges grow by the factor COARSER, up to COARSEST
times their size: in distant views few samples fall on each surface, and small voxels would only contain noise."""
NEAREST = 16
"""Neighbouring voxels used to fit a normal."""
OPAQUE = 0.3
"""Least opacity of a Gaussian on a surface, without cameras."""


class Samples(NamedTuple):
    """P points of surfaces.

    Attributes:
        points: (P, 3) float64, scene units.
        colours: (P, 3) float32, about 0 to 1.
        outward: (P, 3) float32, a direction from the surface to the side it is seen from; 0 if unknown.
        depths: (P,) float32, distance from the camera; 1 without cameras.
        ids: (P, k) int32, the Gaussians that contribute to the point.
        weights: (P, k) float32, their contributions.
        spacing: scene units, the edge of a voxel that contains several points.
        views: (P,) int32, number of the camera; None without cameras.
        at_border: (P,) bool, whether the pixel is at the border of its image; None without cameras.
        eyes: (V, 3) float64, centres of the cameras; None without cameras.
    """

    points: NDArray[np.float64]
    colours: NDArray[np.float32]
    outward: NDArray[np.float32]
    depths: NDArray[np.float32]
    ids: NDArray[np.int32]
    weights: NDArray[np.float32]
    spacing: float
    views: NDArray[np.int32] | None = None
    at_border: NDArray[np.bool_] | None = None
    eyes: NDArray[np.float64] | None = None


class Voxels(NamedTuple):
    """V voxels of a surface.

    Attributes:
        points: (V, 3) float64, mean of the points in each.
        normals: (V, 3) float32, unit length, outward if known.
        colours: (V, 3) float32.
        depths: (V,) float32, mean depth of the samples over the median of all.
        edge: scene units.
        of_sample: (P,) int64, the voxel of each sample; -1 for outliers.
        sided: whether the signs of normals are meaningful.
    """

    points: NDArray[np.float64]
    normals: NDArray[np.float32]
    colours: NDArray[np.float32]
    depths: NDArray[np.float32]
    edge: float
    of_sample: NDArray[np.int64]
    sided: bool = True

    @property
    def counts(self) -> NDArray[np.int64]:
        """(V,) int64, samples in each voxel."""
        return np.bincount(self.of_sample[self.of_sample >= 0], minlength=len(self.points))


def seen_samples(splats: Splats, cameras: Sequence[Camera], device: str, progress: Progress = silent) -> Samples:
    """Return samples of what cameras see of the Gaussians; see the module docstring."""
    source = LightSource(splats, device)
    colour = (splats.sh[:, 0] * SH0 + 0.5).astype(np.float32)
    parts, footprints = [], []
    chosen = evenly_spread(cameras, VIEWS)
    for number, camera in enumerate(chosen):
        progress("geometry", 0.6 * number / len(chosen), "surfaces")
        camera = _reduced(camera)
        pixels = _grid(camera)
        light = source.light(camera, pixels, STRONGEST)
        whole = light.weights.sum(1)
        solid = (whole > COVERED) & np.isfinite(light.surface) & (light.surface > 0)
        ids, weights, depth = light.ids[solid], light.weights[solid], light.surface[solid].astype(np.float64)
        rays = _rays(camera, pixels[solid])
        shown = (weights[:, :, None] * colour[ids]).sum(1) / whole[solid, None]
        outward = (-rays / np.linalg.norm(rays, axis=1, keepdims=True)).astype(np.float32)
        points = camera.centre + depth[:, None] * rays
        parts.append(
            (
                points,
                shown,
                outward.astype(np.float32),
                depth.astype(np.float32),
                ids,
                weights,
                np.full(len(points), number, np.int32),
                _at_border(camera, pixels[solid]),
            )
        )
        footprints.append(depth / camera.K[0, 0])
    columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    points, shown, outward, depths, ids, weights, seen, at_border = columns
    footprint = np.concatenate(footprints)
    spacing = PIXELS_PER_VOXEL * float(np.median(footprint)) if len(footprint) else 0.0
    eyes = np.array([camera.centre for camera in chosen], np.float64).reshape(-1, 3)
    return Samples(points, shown, outward, depths, ids, weights, spacing, seen, at_border, eyes)


def centre_samples(splats: Splats) -> Samples:
    """Return the centres of opaque Gaussians as surface points."""
    rows = np.flatnonzero(splats.alphas > OPAQUE)
    means = splats.means[rows].astype(np.float64)
    near = min(5, len(rows))
    spacing = 0.0
    if near > 1:
        distance, _ = KDTree(means).query(means, k=near)
        spacing = 1.5 * float(np.median(distance[:, -1]))
    return Samples(
        means,
        (splats.sh[rows, 0] * SH0 + 0.5).astype(np.float32),
        np.zeros((len(rows), 3), np.float32),
        np.ones(len(rows), np.float32),
        rows.astype(np.int32)[:, None],
        splats.alphas[rows, None],
        spacing,
    )


def voxels(samples: Samples, least: int = LEAST_POINTS) -> Voxels:
    """Collect samples in voxels, and fit a normal to each from its nearest neighbours."""
    points = samples.points
    edge = max(samples.spacing, 1e-9)
    if not len(points):
        none = np.zeros((0, 3), np.float32)
        return Voxels(points, none, none, np.zeros(0, np.float32), edge, np.zeros(0, np.int64))
    most = COARSEST * edge
    of_sample = _gathered(points, edge, least)
    while (of_sample >= 0).mean() < KEPT and COARSER * edge <= most:
        edge *= COARSER
        of_sample = _gathered(points, edge, least)
    used = of_sample >= 0
    total = np.bincount(of_sample[used]).astype(np.float64)

    def mean(values: NDArray) -> NDArray[np.float64]:
        sums = [np.bincount(of_sample[used], values[used, axis], len(total)) for axis in range(3)]
        return np.stack(sums, 1) / total[:, None]

    centre = mean(points)
    normals = _normals(centre, mean(samples.outward))
    depths = np.bincount(of_sample[used], samples.depths[used], len(total)) / total / np.median(samples.depths)
    colours = mean(samples.colours).astype(np.float32)
    return Voxels(centre, normals, colours, depths.astype(np.float32), edge, of_sample)


def _gathered(points: NDArray[np.float64], edge: float, least: int) -> NDArray[np.int64]:
    """Return (P,) int64, the voxel of each point; -1 if the voxel has fewer than ``least`` points."""
    # Distant outliers would need too many bits for their voxel number.
    low, high = np.percentile(points, [0.5, 99.5], axis=0)
    reach = (high - low).max()
    inside = ((points > low - reach) & (points < high + reach)).all(1)
    cell = np.floor((points - (low - reach)) / max(edge, 3 * reach / 2**20)).clip(0, 2**20 - 1).astype(np.int64)
    code = np.where(inside, (cell[:, 0] << 40) | (cell[:, 1] << 20) | cell[:, 2], -1)
    _, number, count = np.unique(code, return_inverse=True, return_counts=True)
    kept = count >= least
    kept[0] &= bool(inside.all())
    return np.where(kept, np.cumsum(kept) - 1, -1)[number]


def _reduced(camera: Camera) -> Camera:
    """Return the camera scaled so that the pixel grid is :data:`LEAST_STEP` wide, or unchanged if it is smaller."""
    factor = min(1.0, LEAST_STEP * np.sqrt(PIXELS / (camera.width * camera.height)))
    return camera.resized(max(1, round(factor * camera.width)), max(1, round(factor * camera.height)))


def _step(camera: Camera) -> int:
    """Return the distance of sampled pixels."""
    return max(1, int(np.sqrt(camera.width * camera.height / PIXELS)))


def _at_border(camera: Camera, pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (P,) bool, whether a pixel is in the first or last row or column of the grid."""
    step = _step(camera)
    row, column = np.divmod(pixels, camera.width)
    near = (row < step) | (row >= camera.height - step)
    return near | (column < step) | (column >= camera.width - step)


def _grid(camera: Camera) -> NDArray[np.int64]:
    step = _step(camera)
    rows, columns = np.arange(step // 2, camera.height, step), np.arange(step // 2, camera.width, step)
    return (rows[:, None] * camera.width + columns).ravel()


def _rays(camera: Camera, pixels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return directions (P, 3) of pixels in the world, with length 1 along the camera's axis."""
    ends = np.stack([pixels % camera.width + 0.5, pixels // camera.width + 0.5, np.ones(len(pixels))], 1)
    return ends @ np.linalg.inv(camera.K).T @ camera.viewmat[:3, :3]


def _normals(points: NDArray[np.float64], outward: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the direction of least variance of each point's neighbours (Hoppe et al. 1992), oriented outward."""
    k = min(NEAREST, len(points))
    if k < 3:
        return np.zeros((len(points), 3), np.float32)
    _, near = KDTree(points).query(points, k=k)
    around = points[near] - points[near].mean(1, keepdims=True)
    normals = np.linalg.eigh(np.einsum("nki,nkj->nij", around, around))[1][:, :, 0]
    return np.where((normals * outward).sum(1, keepdims=True) < 0, -normals, normals).astype(np.float32)
