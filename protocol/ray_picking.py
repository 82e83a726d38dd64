"""Which Gaussians a ray meets, and with what weight: a click on a splat, without a rasteriser and without cameras.

Along a ray the density of a Gaussian is largest where its Mahalanobis distance is least; there its alpha is
opacity * exp(-distance^2 / 2), and alphas are composited front to back (Moenne-Loccoz et al. 2024, "3D Gaussian Ray
Tracing", section 4). A click needs one pass over all centres and the exact computation for the few that are near.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocol.splats import Splats

LEAST_ALPHA = 1 / 255
"""Alphas below this are ignored, as by rasterisers."""
MARGIN = 1e-3
"""Tolerance of the first pass, relative to the extent of the scene, for rounding in float32."""


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
        self.origin = splats.means.mean(0, dtype=np.float64) if len(splats) else np.zeros(3)
        self.means = np.ascontiguousarray((splats.means - self.origin).T, np.float32)
        squares = np.einsum("in,in->n", self.means, self.means)
        extent = float(np.sqrt(squares.max(initial=0)))
        with np.errstate(over="ignore"):
            self.opacities = 1 / (1 + np.exp(-splats.opacities.astype(np.float64)))
            largest = np.exp(splats.scales.astype(np.float64).max(1, initial=-np.inf))
            # Alpha falls to LEAST_ALPHA at this distance along the longest axis.
            reach = np.sqrt(2 * np.log(np.maximum(self.opacities / LEAST_ALPHA, 1)))
            self.slack = (squares - (largest * reach + MARGIN * extent) ** 2).astype(np.float32)
        self.slack[self.opacities <= LEAST_ALPHA] = np.inf

    def hits(self, origin: NDArray[np.floating], direction: NDArray[np.floating]) -> Hits:
        """Return what a ray meets.

        Args:
            origin: (3,), where the ray begins; Gaussians behind it are not met.
            direction: (3,), of any length above 0.
        """
        length = float(np.linalg.norm(direction))
        unit = np.asarray(direction, np.float64) / length
        # Measured from the point of the line nearest to the middle of the scene, distances stay small in float32.
        start = np.asarray(origin, np.float64) - self.origin
        middle = start - (start @ unit) * unit
        # In place, because the time goes into memory: |x - m|^2 - (u x)^2 < reach^2.
        along = unit.astype(np.float32) @ self.means
        across = (-2 * middle).astype(np.float32) @ self.means
        across += self.slack
        across -= np.square(along, out=along)
        near = np.flatnonzero(across < -np.float32(middle @ middle))
        return self._exact(near, np.asarray(origin, np.float64), unit, length)

    def _exact(
        self, rows: NDArray[np.int64], origin: NDArray[np.float64], unit: NDArray[np.float64], length: float
    ) -> Hits:
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
        rows, alpha, distance = rows[kept], alpha[kept], distance[kept]
        order = np.argsort(distance, kind="stable")
        rows, alpha, distance = rows[order], alpha[order], distance[order]
        passed = np.cumprod(np.concatenate([[1.0], 1 - alpha[:-1]])) if len(alpha) else alpha
        return Hits(rows, alpha * passed, distance / length)


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
