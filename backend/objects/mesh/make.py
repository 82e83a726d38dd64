"""Gaussians of an object and the cameras of the capture -> its mesh."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.objects.mesh.fusion import Field, fuse
from backend.objects.mesh.looks import Box, Look, looks_at
from backend.objects.mesh.surface import Triangles, extract, finish
from backend.render.opacity_depth import DepthRenderer
from backend.scene.types import Camera
from protocol.splats import Splats

CELLS = 128
"""Along the longest side of an object's box, at most."""

FINEST = 0.5
"""Size of a cell, in pixels of the camera that shows the object largest, at least."""

BUDGET = 40_000
"""Triangles of a mesh unless told otherwise."""


def object_box(splats: Splats) -> Box | None:
    reach = splats.sizes.max(1, keepdims=True)
    low = np.quantile(splats.means - reach, 0.005, axis=0)
    high = np.quantile(splats.means + reach, 0.995, axis=0)
    return Box(low.astype(np.float64), high.astype(np.float64))


def cell_size(box: Box, cameras: Sequence[Camera]) -> float:
    """Size of a grid cell: fine enough for the largest box side, not finer than photographs show."""
    sizes = [(camera.viewmat[2, :3] @ box.middle + camera.viewmat[2, 3]) / camera.K[0, 0] for camera in cameras]
    pixel = min((size for size in sizes if size > 0), default=0.0)
    return max(float((box.high - box.low).max()) / CELLS, FINEST * pixel)


def fused(
    splats: Splats, is_own: NDArray[np.bool_], whole: DepthRenderer, cameras: Sequence[Camera]
) -> tuple[Field, list[Look]]:
    own = splats.pick(np.flatnonzero(is_own))
    box = object_box(own)
    cell = cell_size(box, cameras)
    looks = looks_at(box, cameras, cell, DepthRenderer(own), whole, is_own)
    return fuse(box, cell, looks), looks
