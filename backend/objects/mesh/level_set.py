"""The level set of the density of Gaussians: a mesh of an object without known cameras."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation
from skimage.measure import marching_cubes

from backend.compiled import kernel
from protocol.result.meshes import Mesh
from protocol.sh import SH0
from protocol.splats import Splats

LEVEL = 0.3
"""Density at the surface, as in SuGaR."""


def level_set(splats: Splats, cells: int = 72) -> Mesh | None:
    """Return the surface where the density of the Gaussians crosses :data:`LEVEL`, or None if it does not.

    The density is the sum over Gaussians of opacity times exp(-d^2 / 2), where d is the Mahalanobis distance (the level
    set of SuGaR, Guedon and Lepetit 2024). It is sampled on a grid of ``cells`` cells along the
    longest side of the object's box. Gaussians thinner than a cell are thickened to one, because the grid would miss
    them. Enclosed cavities are filled.
    """
    box = _box(splats)
    if box is None:
        return None
    low, high = box
    cell = float((high - low).max()) / cells
    low = low - 3 * cell
    shape = tuple(int(n) for n in np.ceil((high - low) / cell + 3))
    density = np.zeros(shape, np.float32)
    sizes = np.maximum(splats.sizes, 0.6 * cell).astype(np.float32)
    precision = _precision(splats.quats, sizes)
    _splat_density(
        density, (splats.means - low) / cell, precision * cell * cell, splats.alphas, 3 * sizes.max(1) / cell
    )
    inside = np.asarray(binary_fill_holes(density > LEVEL), bool)
    if not inside.any():
        return None
    density[inside & (density <= LEVEL)] = 2 * LEVEL
    # An empty border closes the surface where strays extend beyond the box.
    for axis in range(3):
        np.moveaxis(density, axis, 0)[[0, -1]] = 0
    # marching_cubes orders faces for a surface around low values; this one surrounds high values.
    vertices, faces, _, _ = marching_cubes(density, LEVEL, gradient_direction="ascent")
    points = (vertices * cell + low).astype(np.float32)
    return Mesh(points, faces.astype(np.int32), _colours(points, splats))


def _box(splats: Splats) -> tuple[NDArray, NDArray] | None:
    """Return the corners of the object's box, without strays in the outer half percent."""
    if len(splats) == 0:
        return None
    reach = splats.sizes.max(1, keepdims=True)
    low = np.quantile(splats.means - reach, 0.005, axis=0)
    high = np.quantile(splats.means + reach, 0.995, axis=0)
    margin = 0.05 * (high - low)
    return (low - margin, high + margin) if float(margin.max()) > 0 else None


def _precision(quats: NDArray, sizes: NDArray) -> NDArray[np.float32]:
    """Return inverse covariances (N, 3, 3) = R S^-2 R^T."""
    # scipy expects x, y, z, w and rejects a zero quaternion.
    xyzw = np.where(np.any(quats, axis=1, keepdims=True), quats, [1, 0, 0, 0])[:, [1, 2, 3, 0]]
    scaled = Rotation.from_quat(xyzw).as_matrix() / sizes[:, None, :]
    return np.einsum("nij,nkj->nik", scaled, scaled).astype(np.float32)


@kernel()
def _splat_density(density, centres, precision, alphas, reach):
    for i in range(centres.shape[0]):
        low = np.maximum(centres[i] - reach[i], 0)
        p = precision[i]
        for x in range(int(low[0]), min(density.shape[0], int(centres[i, 0] + reach[i]) + 2)):
            dx = x - centres[i, 0]
            for y in range(int(low[1]), min(density.shape[1], int(centres[i, 1] + reach[i]) + 2)):
                dy = y - centres[i, 1]
                for z in range(int(low[2]), min(density.shape[2], int(centres[i, 2] + reach[i]) + 2)):
                    dz = z - centres[i, 2]
                    diagonal = p[0, 0] * dx * dx + p[1, 1] * dy * dy + p[2, 2] * dz * dz
                    d2 = diagonal + 2 * (p[0, 1] * dx * dy + p[0, 2] * dx * dz + p[1, 2] * dy * dz)
                    if d2 < 9.0:
                        density[x, y, z] += alphas[i] * np.exp(-0.5 * d2)


def _colours(points: NDArray[np.float32], splats: Splats) -> NDArray[np.uint8]:
    """Return the colour of each point from the nearest Gaussians, weighted by proximity and opacity."""
    near = min(4, len(splats))
    distance, index = KDTree(splats.means).query(points, k=near)
    distance, index = distance.reshape(-1, near), index.reshape(-1, near)
    weight = splats.alphas[index] / (distance + 1e-6)
    colour = np.clip(SH0 * splats.sh[:, 0] + 0.5, 0, 1)[index]
    mean = (weight[..., None] * colour).sum(1) / weight.sum(1, keepdims=True)
    return np.round(255 * mean).astype(np.uint8)
