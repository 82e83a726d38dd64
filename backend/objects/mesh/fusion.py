"""Fuses depth maps into a signed distance field (Curless and Levoy 1996)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.compiled import kernel
from backend.objects.mesh.object_views import Box, ObjectView
from backend.render.model import NEAR
from backend.threads import spread

TRUNCATION = 4.0
"""Distance from a surface, in cells, beyond which the field is constant."""

FREE_WEIGHT = 0.5
"""Weight of a view through free space; a frontal view of a surface has 1."""

LEAST_WEIGHT = 0.5
"""Least weight of a cell that counts as seen."""


@dataclass(frozen=True)
class Field:
    """A grid of signed distances; grid point (i, j, k) is at ``low + cell (i, j, k)``.

    Attributes:
        distance: (X, Y, Z) float32, to the surface in units of the truncation, -1 to 1, negative inside.
        weight: (X, Y, Z) float32, how well it was seen; 0 if unseen, with distance 0.
        low: (3,) float64, scene units.
        cell: scene units.
    """

    distance: NDArray[np.float32]
    weight: NDArray[np.float32]
    low: NDArray[np.float64]
    cell: float

    @property
    def seen(self) -> NDArray[np.bool_]:
        return self.weight >= LEAST_WEIGHT


def fuse(box: Box, cell: float, views: Sequence[ObjectView]) -> Field:
    """Return the field in a box; a margin of the truncation is added."""
    margin = TRUNCATION + 2
    low = box.low - margin * cell
    shape = tuple(int(n) for n in np.ceil((box.high - box.low) / cell + 2 * margin) + 1)
    total, weight = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for look in views:
        K = look.camera.K
        lens = np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]], np.float32)
        view = look.camera.viewmat[:3, :3].astype(np.float32) * np.float32(cell)
        start = (look.camera.viewmat[:3, :3] @ low + look.camera.viewmat[:3, 3]).astype(np.float32)
        spread(
            add_view, shape[0], view, start, lens, look.depth, look.facing, look.free, np.float32(TRUNCATION * cell),
            total, weight, least=8,
        )  # fmt: skip
    return Field(np.divide(total, weight, out=total, where=weight > 0), weight, low, cell)


@kernel()
def add_view(begin, end, view, start, lens, depth, facing, free, truncation, total, weight):
    """Add one view to the grid points with first index begin to end.

    The distance is measured to the tangent plane of the surface at the grid point's pixel.

    Args:
        view: (3, 3) float32, grid steps in camera axes.
        start: (3,) float32, grid point (0, 0, 0) in camera axes.
        lens: (fx, fy, cx, cy).
        depth, facing, free: see :class:`backend.objects.mesh.object_views.ObjectView`.
        truncation: scene units.
        total, weight: (X, Y, Z) float32, added to.
    """
    height, width = depth.shape
    near, one, half = np.float32(NEAR), np.float32(1), np.float32(0.5)
    free_weight = np.float32(FREE_WEIGHT)
    for i in range(begin, end):
        for j in range(total.shape[1]):
            x0 = start[0] + i * view[0, 0] + j * view[0, 1]
            y0 = start[1] + i * view[1, 0] + j * view[1, 1]
            z0 = start[2] + i * view[2, 0] + j * view[2, 1]
            for k in range(total.shape[2]):
                z = z0 + k * view[2, 2]
                if z <= near:
                    continue
                u = lens[0] * (x0 + k * view[0, 2]) / z + lens[2]
                v = lens[1] * (y0 + k * view[1, 2]) / z + lens[3]
                if u < 0 or v < 0 or u >= width or v >= height:
                    continue
                row, column = int(v), int(u)
                if free[row, column] > 0:
                    if z < free[row, column] - half * truncation:
                        total[i, j, k] += free_weight
                        weight[i, j, k] += free_weight
                    continue
                cosine = facing[row, column]
                if cosine == 0:
                    continue
                distance = (depth[row, column] - z) * cosine / truncation
                if distance < -one:
                    continue
                # Behind the surface the weight decreases to 0, so that the two sides of a thin object interfere less.
                share = cosine if distance >= 0 else cosine * (one + distance)
                total[i, j, k] += share * min(distance, one)
                weight[i, j, k] += share
