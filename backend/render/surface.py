"""Depth distribution of a pixel's light: for each contributing Gaussian, and for all together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from backend.render.engine import Renderer
from backend.scene.types import Camera
from protocol.splats import Splats

STRONGEST = 32
"""Gaussians per pixel that are used: they have nearly all light of a solid surface, and most of the light in fog."""

THINNEST = 1e-3
"""Least ratio of a Gaussian's smallest to its largest standard deviation; flatter ones would overflow float32."""


class Light(NamedTuple):
    """The contributions to P pixels of a view, from the strongest k Gaussians each.

    Attributes:
        ids: (P, k) int32, Gaussians.
        weights: (P, k) float32, alpha times transmittance; 0 where fewer than k contribute.
        depths: (P, k) float32, along the camera's z axis in scene units: the peak of the Gaussian on the pixel's ray.
        surface: (P,) float32, the depth in front of which half of the listed light arrives: the median depth.
    """

    ids: NDArray[np.int32]
    weights: NDArray[np.float32]
    depths: NDArray[np.float32]
    surface: NDArray[np.float32]


class LightSource:
    """Computes the light of pixels for N constant Gaussians.

    Args:
        splats: the Gaussians.
        device: as of :class:`backend.render.Renderer`.
    """

    def __init__(self, splats: Splats, device: str = "auto") -> None:
        self._renderer = Renderer(splats, device)
        turns = Rotation.from_quat(np.roll(splats.quats, -1, axis=1)).as_matrix().astype(np.float32)
        sizes = np.exp(splats.scales)
        sizes = np.maximum(sizes, THINNEST * sizes.max(1, keepdims=True))
        # Maps world directions to those in which the Gaussian is a unit sphere.
        self._whiten = np.ascontiguousarray((turns / sizes[:, None, :]).transpose(0, 2, 1))
        self._means = splats.means

    def __len__(self) -> int:
        return len(self._means)

    def sample(self, camera: Camera, count: int, rng: np.random.Generator) -> Light:
        """Return the contributions to ``count`` random pixels of a camera's image, or to all if it has fewer."""
        area = camera.width * camera.height
        return self.light(camera, rng.choice(area, min(count, area), replace=False))

    def light(self, camera: Camera, pixels: NDArray[np.int64], k: int = STRONGEST) -> Light:
        """Return the contributions to the given pixels.

        The peak of a Gaussian on a ray o + t d is at t = d' S^-1 (mean - o) / d' S^-1 d, with the covariance S (as in
        Zhang et al. 2024, "RaDe-GS"); d is scaled so that t is depth. The Gaussian's centre would only be accurate for
        small Gaussians: the centre of a large slanted wall is far from where most pixels see it.

        Args:
            pixels: (P,) row-major pixel numbers.
            k: Gaussians per pixel.
        """
        found = self._renderer.contributions(camera, pixels, k)
        ends = np.stack([pixels % camera.width + 0.5, pixels // camera.width + 0.5, np.ones(len(pixels))], 1)
        rays = (ends @ np.linalg.inv(camera.K).T @ camera.viewmat[:3, :3]).astype(np.float32)
        away = np.einsum("nij,nj->ni", self._whiten, (self._means - camera.centre).astype(np.float32))
        along = np.einsum("pkij,pj->pki", self._whiten[found.ids], rays)
        depths = (along * away[found.ids]).sum(2) / (along * along).sum(2)
        return Light(found.ids, found.weights, depths, _median(depths, found.weights))


def _median(depths: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    order = np.argsort(depths, 1, kind="stable")
    reached = np.cumsum(np.take_along_axis(weights, order, 1), 1)
    half = (reached >= reached[:, -1:] / 2).argmax(1)
    return np.take_along_axis(depths, np.take_along_axis(order, half[:, None], 1), 1)[:, 0]
