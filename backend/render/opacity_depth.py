"""Depth at which the Gaussians along a pixel's ray are opaque enough to be a surface."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backend.compiled import inlined, kernel
from backend.render.blend import CHECK_EVERY, ORDERED, falloff, open_tile, weigh
from backend.render.model import TILE
from backend.render.project import FAST, HALF, LEAST, ONE, F, rotation, to_camera
from backend.render.projected import project_splats
from backend.scene.types import Camera
from backend.threads import spread
from protocol.splats import Splats

LEFT_OVER = F(0.6)
"""Transmittance at the surface.

One half would give the median depth. Reconstructed surfaces are layers of faint Gaussians with centres behind the true
surface; with 0.6 the depth of known solids is off by 0.25 % of their size, with 0.5 by 0.35 %, and with 0.7 faint
Gaussians in front of a surface count as the surface.
"""

LISTED = 24
"""Gaussians per pixel that are used, nearest first."""

FAINT = F(0.01)
"""Least share of a pixel's light for a Gaussian to be used."""

HALVINGS = 10
"""Bisection steps."""

REACH = F(3)
"""Start of the search, in standard deviations in front of the Gaussians that stop the light."""

THINNEST = F(1e-3)
"""Least ratio of a Gaussian's smallest to its largest standard deviation; flatter ones would overflow float32."""


class Depths(NamedTuple):
    """The depths at which the pixels of a view become opaque.

    Attributes:
        depth: (H, W) float32, along the camera's z axis in scene units; 0 if too much light passes.
        ids: (H, W) int32, the Gaussian at which half of the light is stopped; -1 if the depth is 0.
    """

    depth: NDArray[np.float32]
    ids: NDArray[np.int32]


class DepthRenderer:
    """Renders the depth of constant Gaussians many times. Always on the CPU.

    Args:
        splats: N Gaussians; their arrays are copied.
    """

    def __init__(self, splats: Splats) -> None:
        columns = (splats.means, splats.quats, splats.scales, splats.opacities)
        self._geometry = tuple(np.array(column, np.float32, order="C") for column in columns)

    def draw(self, camera: Camera, rough: bool = False) -> Depths:
        """Return the depth t of every pixel at which the light prod_i (1 - a_i g_i(t)) has fallen to LEFT_OVER.

        a_i is the alpha of Gaussian i in the pixel, and g_i(t) rises along the ray from 0 to 1 with the Gaussian and
        stays at 1 behind its peak t_i (Yu et al. 2024, "Gaussian Opacity Fields", eqs. 6 to 8). On a ray o + t d, t_i =
        d' S^-1 (mean - o) / d' S^-1 d with covariance S, and g_i has the standard deviation (d' S^-1 d)^-1/2. A pixel
        has a depth if half of its light is stopped; LEFT_OVER is reached before that.

        Args:
            rough: whether to return the peak of the Gaussian in ``ids`` instead, which takes a fraction of the time:
                the median depth of Huang et al. 2024, "2D Gaussian Splatting".
        """
        means, quats, scales, opacities = self._geometry
        seen = project_splats(means, quats, scales, opacities, camera)
        bins, pinhole = seen.bins, seen.camera
        whitened = np.empty((len(means), 12), np.float32)
        spread(whiten, len(bins.order), bins.order, means, quats, scales, pinhole.view, whitened, least=LEAST)
        depth = np.zeros((pinhole.height, pinhole.width), np.float32)
        ids = np.full((pinhole.height, pinhole.width), -1, np.int32)
        spread(
            find_depths, len(bins.schedule), bins.schedule, bins.start, bins.members, bins.rows, seen.footprints,
            bins.across, whitened, pinhole.lens, rough, depth, ids, least=bins.least,
        )  # fmt: skip
        return Depths(depth, ids)


@kernel(fastmath=FAST)
def whiten(begin, end, order, means, quats, scales, view, whitened):
    """Fill rows ``order[begin:end]`` of (N, 12): the (3, 3) matrix that maps a Gaussian to a unit sphere, and its
    mapped centre.

    Both use camera axes.
    """
    for r in range(begin, end):
        i = order[r]
        x, y, z = to_camera(means, view, i)
        _, _, r0, r1, r2 = rotation(quats, i)
        floor = math.exp(max(scales[i, 0], scales[i, 1], scales[i, 2])) * THINNEST
        for axis in range(3):
            size = max(math.exp(scales[i, axis]), floor)
            for j in range(3):
                turned = r0[axis] * view[j, 0] + r1[axis] * view[j, 1] + r2[axis] * view[j, 2]
                whitened[i, 3 * axis + j] = turned / size
            row = 3 * axis
            whitened[i, 9 + axis] = whitened[i, row] * x + whitened[i, row + 1] * y + whitened[i, row + 2] * z


@inlined(fastmath=FAST)
def meet(whitened, i, slope_x, slope_y):
    """Return depth and standard deviation of Gaussian i on the ray through (slope_x, slope_y, 1), in camera axes."""
    above, below = F(0), F(0)
    for axis in range(3):
        row = 3 * axis
        along = whitened[i, row] * slope_x + whitened[i, row + 1] * slope_y + whitened[i, row + 2]
        above += along * whitened[i, 9 + axis]
        below += along * along
    return above / below, ONE / math.sqrt(below)


@inlined(fastmath=FAST)
def opaque_at(alphas, peaks, spans, place, count):
    """Return the depth at which the light of a pixel has fallen to LEFT_OVER."""
    near, far, light = F(np.inf), F(0), ONE
    for j in range(count):
        near = min(near, peaks[place, j] - REACH * spans[place, j])
        # Behind the peaks of the Gaussians that stop enough light, it is stopped.
        far = max(far, peaks[place, j]) if light > LEFT_OVER else far
        light *= ONE - alphas[place, j]
    near = max(near, F(0))
    for _ in range(HALVINGS):
        t = HALF * (near + far)
        light = ONE
        for j in range(count):
            ahead = max(peaks[place, j] - t, F(0)) / spans[place, j]
            light *= ONE - alphas[place, j] * falloff(-HALF * ahead * ahead)
        if light > LEFT_OVER:
            near = t
        else:
            far = t
    return HALF * (near + far)


@kernel(fastmath=ORDERED)
def find_depths(begin, end, schedule, start, members, rows, footprints, across, whitened, lens, rough, depth, ids):
    """Fill depth (H, W) and ids (H, W), initially 0 and -1.

    Args:
        schedule, start, members, rows, across: see :class:`backend.render.tiles.Bins`.
        footprints, lens: see :mod:`backend.render.project`.
        whitened: see :func:`whiten`.
        rough: whether to use the peak of a single Gaussian.
    """
    height, width = depth.shape
    area = TILE * TILE
    alphas, peaks = np.empty((area, LISTED), np.float32), np.empty((area, LISTED), np.float32)
    spans = np.empty((area, LISTED), np.float32)
    for turn in range(begin, end):
        tile = schedule[turn]
        left, top = (tile % across) * TILE, (tile // across) * TILE
        light = open_tile(left, top, width, height)
        weights = np.zeros((TILE, TILE), np.float32)
        listed = np.zeros(area, np.int64)
        missing = min(TILE, height - top) * min(TILE, width - left)
        for k in range(start[tile], start[tile + 1]):
            i = members[k]
            low, high = int(rows[k]) % TILE, int(rows[k]) // TILE
            weigh(footprints, i, left, top, low, high, light, weights)
            for y in range(low, min(high + 1, height - top)):
                for x in range(min(TILE, width - left)):
                    weight = weights[y, x]
                    if weight < FAINT:
                        continue
                    column, row, place = left + x, top + y, y * TILE + x
                    middle = light[y, x] <= HALF and ids[row, column] < 0
                    if middle:
                        ids[row, column] = i
                        missing -= 1
                    count = listed[place]
                    if middle if rough else count < LISTED:
                        slope_x = (F(column) + HALF - lens[2]) / lens[0]
                        slope_y = (F(row) + HALF - lens[3]) / lens[1]
                        peak, span = meet(whitened, i, slope_x, slope_y)
                        depth[row, column] = peak
                        if not rough:
                            alphas[place, count] = weight / (light[y, x] + weight)
                            peaks[place, count], spans[place, count] = peak, span
                            listed[place] = count + 1
            if k % CHECK_EVERY == CHECK_EVERY - 1 and missing == 0:
                break
        for y in range(min(TILE, height - top)):
            for x in range(min(TILE, width - left)):
                if ids[top + y, left + x] < 0:
                    depth[top + y, left + x] = F(0)
                elif not rough:
                    place = y * TILE + x
                    depth[top + y, left + x] = opaque_at(alphas, peaks, spans, place, listed[place])
