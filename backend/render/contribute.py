"""The k strongest Gaussians of each chosen pixel.

The chosen pixels of a tile are arranged in groups of 16, row by row, and a group is processed like a row in
:func:`backend.render.blend.weigh`: if all pixels are chosen, groups are rows; if few are, a tile has one or two groups.
Each pixel has a list sorted by weight; Gaussians arrive nearest first, and ties keep this order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.compiled import inlined, kernel
from backend.render.blend import CAP, CHECK_EVERY, CUT, OPAQUE, ORDERED, falloff
from backend.render.model import TILE
from backend.render.project import CONIC_A, CONIC_B, CONIC_C, HALF, ONE, OPACITY, F, U, V
from backend.render.projected import ProjectedSplats
from backend.render.types import Contributions
from backend.threads import spread

LANES = 16


def contributions(seen: ProjectedSplats, pixels: NDArray[np.int64] | None, k: int) -> Contributions:
    """Return the contributions to ``pixels`` (P,), row-major numbers, or to all pixels if None."""
    camera, bins = seen.camera, seen.bins
    if pixels is None:
        pixels = np.arange(camera.width * camera.height, dtype=np.int64)
    pixels = np.array(pixels, np.int64)
    begin, places = bucket(pixels, camera.width, bins.across, len(bins.schedule))
    ids, weights = np.zeros((len(pixels), k), np.int32), np.zeros((len(pixels), k), np.float32)
    spread(
        strongest, len(bins.schedule), bins.schedule, bins.start, bins.members, bins.rows, seen.footprints, bins.across,
        camera.width, pixels, begin, places, ids, weights, least=bins.least,
    )  # fmt: skip
    return Contributions(pixels, ids, weights)


@kernel()
def bucket(pixels, width, across, tiles):
    """Group pixels by tile: tile t has ``places[begin[t]:begin[t + 1]]``, indices into ``pixels`` in their order."""
    begin = np.zeros(tiles + 1, np.int64)
    for place in range(pixels.shape[0]):
        tile = pixels[place] // width // TILE * across + pixels[place] % width // TILE
        begin[tile + 1] += 1
    for tile in range(tiles):
        begin[tile + 1] += begin[tile]
    cursor = begin.copy()
    places = np.empty(pixels.shape[0], np.int64)
    for place in range(pixels.shape[0]):
        tile = pixels[place] // width // TILE * across + pixels[place] % width // TILE
        places[cursor[tile]] = place
        cursor[tile] += 1
    return begin, places


@inlined(fastmath=True)
def exceed(weights, least, group):
    """Return whether a weight (LANES,) exceeds its pixel's ``least``. Counting them is independent of the order."""
    above = F(0)
    for lane in range(LANES):
        above += ONE if weights[lane] > least[group, lane] else F(0)
    return above > F(0)


@inlined(fastmath=ORDERED)
def weigh_group(footprints, i, xs, ys, group, light, weights, least):
    """Compute weights (LANES,) of Gaussian i in a group of pixels; return whether any exceeds its pixel's ``least``.

    Args:
        xs, ys: (groups, LANES), pixel centres. light: (groups, LANES), transmittance, updated.
    """
    u, v = footprints[i, U], footprints[i, V]
    a, b, c = footprints[i, CONIC_A], footprints[i, CONIC_B], footprints[i, CONIC_C]
    opacity = footprints[i, OPACITY]
    for lane in range(LANES):
        dx, dy = xs[group, lane] - u, ys[group, lane] - v
        alpha = min(opacity * falloff(-HALF * (a * dx * dx + c * dy * dy) - b * dx * dy), CAP)
        alpha = alpha if alpha >= CUT else F(0)
        before = light[group, lane]
        weight = alpha * before
        after = before - weight
        light[group, lane] = after if after >= OPAQUE else F(0)
        weights[lane] = weight
    return exceed(weights, least, group)


@kernel(fastmath=ORDERED)
def strongest(
    begin, end, schedule, start, members, rows, footprints, across, width, pixels, pixel_start, places, ids, weights
):
    """Fill ids and weights (P, k), both initially zero.

    Args:
        schedule, start, members, rows, across: see :class:`backend.render.tiles.Bins`.
        pixel_start, places: see :func:`bucket`.
    """
    k = ids.shape[1]
    for turn in range(begin, end):
        tile = schedule[turn]
        top = (tile // across) * TILE
        count = pixel_start[tile + 1] - pixel_start[tile]
        groups = (count + LANES - 1) // LANES
        xs, ys = np.zeros((groups, LANES), np.float32), np.zeros((groups, LANES), np.float32)
        light = np.zeros((groups, LANES), np.float32)
        least = np.zeros((groups, LANES), np.float32)
        kept = np.zeros((groups, LANES), np.int64)
        highest, lowest = np.full(groups, TILE, np.int64), np.full(groups, -1, np.int64)
        found = np.empty(LANES, np.float32)
        for n in range(count):
            pixel = pixels[places[pixel_start[tile] + n]]
            group, lane = n // LANES, n % LANES
            xs[group, lane], ys[group, lane] = F(pixel % width) + HALF, F(pixel // width) + HALF
            light[group, lane] = ONE
            highest[group] = min(highest[group], pixel // width - top)
            lowest[group] = max(lowest[group], pixel // width - top)
        for m in range(start[tile], start[tile + 1] if groups > 0 else start[tile]):
            i = members[m]
            low, high = int(rows[m]) % TILE, int(rows[m]) // TILE
            for group in range(groups):
                if lowest[group] < low or highest[group] > high:
                    continue
                if not weigh_group(footprints, i, xs, ys, group, light, found, least):
                    continue
                for lane in range(LANES):
                    if found[lane] > least[group, lane]:
                        row = places[pixel_start[tile] + group * LANES + lane]
                        rank = min(kept[group, lane], k - 1)
                        while rank > 0 and weights[row, rank - 1] < found[lane]:
                            weights[row, rank], ids[row, rank] = weights[row, rank - 1], ids[row, rank - 1]
                            rank -= 1
                        weights[row, rank], ids[row, rank] = found[lane], i
                        kept[group, lane] += 1
                        if kept[group, lane] >= k:
                            least[group, lane] = weights[row, k - 1]
            if m % CHECK_EVERY == CHECK_EVERY - 1:
                left = F(0)
                for group in range(groups):
                    for lane in range(LANES):
                        left += light[group, lane]
                if left == F(0):
                    break
