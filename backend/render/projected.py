"""Gaussians projected for one camera, the input of all CPU kernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.render.project import LEAST, project
from backend.render.tiles import Bins, bin_tiles
from backend.scene.types import Camera
from backend.threads import spread

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Pinhole:
    """A camera for the kernels: float32 view (3, 4), lens (fx, fy, cx, cy), and the size in pixels."""

    view: Floats
    lens: Floats
    width: int
    height: int

    @staticmethod
    def of(camera: Camera) -> Pinhole:
        K = camera.K
        return Pinhole(
            np.ascontiguousarray(camera.viewmat[:3], np.float32),
            np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]], np.float32),
            int(camera.width),
            int(camera.height),
        )


@dataclass(frozen=True)
class ProjectedSplats:
    """N Gaussians projected for a camera: see :mod:`backend.render.project` and :class:`backend.render.tiles.Bins`."""

    camera: Pinhole
    footprints: Floats
    boxes: NDArray[np.int32]
    bins: Bins


def project_splats(means: Floats, quats: Floats, scales: Floats, opacities: Floats, camera: Camera) -> ProjectedSplats:
    """Project Gaussians, sort them by depth and assign them to tiles."""
    n, pinhole = len(means), Pinhole.of(camera)
    width, height = pinhole.width, pinhole.height
    footprints, boxes = np.empty((n, 8), np.float32), np.empty((n, 4), np.int32)
    depths = np.empty(n, np.float32)
    spread(
        project, n, means, quats, scales, opacities, pinhole.view, pinhole.lens, width, height,
        footprints, boxes, depths, least=LEAST,
    )  # fmt: skip
    return ProjectedSplats(pinhole, footprints, boxes, bin_tiles(footprints, boxes, depths, width, height))
