"""Which Gaussians a ray meets, and with what weight: a click on a splat, without a rasteriser and without cameras.

Along a ray the density of a Gaussian is largest where its Mahalanobis distance is least; there its alpha is
opacity * exp(-distance^2 / 2), and alphas are composited front to back (Moenne-Loccoz et al. 2024, "3D Gaussian Ray
Tracing", section 4). Gaussians are sorted into blocks of neighbours with a bounding sphere each, so that a click tests
all blocks, and the Gaussians of the few blocks that the ray meets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocol.splats import Splats

LEAST_ALPHA = 1 / 255
"""Alphas below this are ignored, as by rasterisers."""
BLOCK = 64
"""Gaussians in a block."""
LARGE = 0.02
"""Share of the Gaussians, the largest ones, that have blocks of their own; else they would enlarge all others."""

Mode = Literal["set", "add", "subtract", "intersect"]
"""What a click does with the selection so far."""
SAME_PLACE = 4.0
"""Pixels within which two clicks are at the same place."""


class Met(NamedTuple):
    """The Gaussians that a ray meets, in no particular order.

    Attributes:
        rows: (n,) int64.
        alphas: (n,) float64, at the place of the ray where the density is largest.
        distances: (n,) float64, along the ray from its origin, in units of the ray's direction.
    """

    rows: NDArray[np.int64]
    alphas: NDArray[np.float64]
    distances: NDArray[np.float64]


@dataclass(frozen=True)
class Hits:
    """The Gaussians that a ray meets, nearest first.

    Attributes:
        rows: (n,) int64.
        weights: (n,) float64, alpha times transmittance.
        distances: (n,) float64, along the ray from its origin, in units of the ray's direction.
    """

    rows: NDArray[np.int64]
    weights: NDArray[np.float64]
    distances: NDArray[np.float64]


class RayIndex:
    """Gaussians prepared for rays.

    Args:
        splats: N Gaussians, in the frame of the rays.
    """

    def __init__(self, splats: Splats) -> None:
        self.splats = splats
        with np.errstate(over="ignore", under="ignore"):
            self.opacities = 1 / (1 + np.exp(-splats.opacities.astype(np.float64)))
            largest = np.exp(splats.scales.max(1, initial=-np.inf))
        # Alpha falls to LEAST_ALPHA at this distance along the longest axis. NaN compares as not visible.
        reach = (largest * np.sqrt(2 * np.log(np.maximum(self.opacities / LEAST_ALPHA, 1)))).astype(np.float32)
        usable = (self.opacities > LEAST_ALPHA) & np.isfinite(splats.means).all(1) & np.isfinite(reach)
        rows = np.flatnonzero(usable)
        limit = np.quantile(reach[rows], 1 - LARGE) if len(rows) else 0
        order = np.lexsort((_morton(splats.means[rows]), reach[rows] > limit))
        rows = rows[order]
        self._starts = np.arange(0, len(rows), BLOCK)
        self._rows = rows
        self._means = splats.means[rows].astype(np.float64)
        self._reach = reach[rows]
        self._centres, self._radii = self._spheres()
        low = (self._centres - self._radii[:, None]).min(0, initial=np.inf)
        high = (self._centres + self._radii[:, None]).max(0, initial=-np.inf)
        self._centre = (low + high) / 2 if len(rows) else np.zeros(3)
        self._radius = float(np.linalg.norm(high - low)) / 2 if len(rows) else -1.0

    def _spheres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the bounding spheres of the blocks: (B, 3) centres and (B,) radii."""
        if not len(self._rows):
            return np.empty((0, 3)), np.empty(0)
        reach = self._reach[:, None].astype(np.float64)
        low = np.minimum.reduceat(self._means - reach, self._starts)
        high = np.maximum.reduceat(self._means + reach, self._starts)
        return (low + high) / 2, np.linalg.norm(high - low, axis=1) / 2

    def hits(self, origin: NDArray[np.floating], direction: NDArray[np.floating]) -> Hits:
        """Return what a ray meets, composited.

        Args:
            origin: (3,), where the ray begins; Gaussians behind it are not met.
            direction: (3,), of any length above 0.
        """
        return composited(self.meets(origin, direction))

    def meets(self, origin: NDArray[np.floating], direction: NDArray[np.floating]) -> Met:
        """As :meth:`hits`, without the order and the weights that depend on all Gaussians along the ray."""
        start, heading = np.asarray(origin, np.float64), np.asarray(direction, np.float64)
        length = float(np.linalg.norm(heading))
        unit = heading / length
        if _line_distance(self._centre[None], start, unit)[0] > self._radius:
            return Met(np.empty(0, np.int64), np.empty(0), np.empty(0))
        blocks = np.flatnonzero(_line_distance(self._centres, start, unit) <= self._radii)
        near = (self._starts[blocks, None] + np.arange(BLOCK)).ravel()
        near = near[near < len(self._rows)]
        near = near[_line_distance(self._means[near], start, unit) <= self._reach[near]]
        return self._exact(np.sort(self._rows[near]), start, unit, length)

    def _exact(
        self, rows: NDArray[np.int64], origin: NDArray[np.float64], unit: NDArray[np.float64], length: float
    ) -> Met:
        turned = _rotations(self.splats.quats[rows].astype(np.float64))
        with np.errstate(over="ignore"):
            inverse = np.exp(-np.maximum(self.splats.scales[rows].astype(np.float64), -30.0))
        # In the axes of each Gaussian, in units of its standard deviations.
        local = np.einsum("nji,nj->ni", turned, origin - self.splats.means[rows]) * inverse
        heading = np.einsum("nji,j->ni", turned, unit) * inverse
        steepness = np.maximum((heading * heading).sum(1), 1e-30)
        distance = -(local * heading).sum(1) / steepness
        nearest = local + distance[:, None] * heading
        alpha = np.minimum(0.999, self.opacities[rows] * np.exp(-0.5 * (nearest * nearest).sum(1)))
        kept = (alpha >= LEAST_ALPHA) & (distance > 0)
        return Met(rows[kept], alpha[kept], distance[kept] / length)


def composited(met: Met) -> Hits:
    """Return what a ray meets from front to back, each with the weight that what lies before it leaves."""
    order = np.argsort(met.distances, kind="stable")
    alphas = met.alphas[order]
    passed = np.cumprod(np.concatenate([[1.0], 1 - alphas[:-1]])) if len(alphas) else alphas
    return Hits(met.rows[order], alphas * passed, met.distances[order])


def combined(before: NDArray[np.bool_], chosen: NDArray[np.bool_], mode: Mode) -> NDArray[np.bool_]:
    """Return the new selection (N,) from the one before the click and what was clicked."""
    match mode:
        case "set":
            return chosen
        case "add":
            return before | chosen
        case "subtract":
            return before & ~chosen
        case "intersect":
            return before & chosen


def _line_distance(
    points: NDArray[np.floating], start: NDArray[np.float64], unit: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the distance (N,) of points (N, 3) from a ray; from its origin for points behind that.

    Without products of matrices, because BLAS starts threads, which wait for one another while other programs run.
    """
    x, y, z = (points[:, axis] - start[axis] for axis in range(3))
    along = np.maximum(x * unit[0] + y * unit[1] + z * unit[2], 0)
    x -= along * unit[0]
    y -= along * unit[1]
    z -= along * unit[2]
    return np.sqrt(x * x + y * y + z * z)


def _morton(points: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Return (N,) the Z-order of points (N, 3): ten bits of each axis, interleaved."""
    if not len(points):
        return np.empty(0, np.uint32)
    low = points.min(0)
    width = np.maximum((points.max(0) - low) / 1023, 1e-30)
    cells = ((points - low) / width).astype(np.uint32)
    for shift, mask in ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249)):
        cells = (cells | cells << np.uint32(shift)) & np.uint32(mask)
    return cells[:, 0] | cells[:, 1] << np.uint32(1) | cells[:, 2] << np.uint32(2)


def _rotations(quats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (n, 3, 3) rotations of quaternions (w, x, y, z) of any length."""
    w, x, y, z = (quats / np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), 1e-12)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)


def label_of(hits: Hits, labels: NDArray[np.integer]) -> int:
    """Return the label with most weight along a ray, 0 if the background or the light that passes has more.

    Args:
        hits: of the ray.
        labels: (N,) of all Gaussians, not negative; 0 is background. Ties go to the lowest label.
    """
    if not len(hits.rows):
        return 0
    own = labels[hits.rows]
    sums = np.bincount(own, weights=hits.weights)
    sums[0] = 1 - hits.weights[own > 0].sum()
    return int(sums.argmax())
