"""The label with the most light in each pixel.

A tile contains few labels. Each has a plane of 16 x 16 sums, to which the weights of its Gaussians are added. So all
Gaussians count, and no pixel needs a list of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.compiled import kernel
from backend.render.blend import AREA, CHECK_EVERY, ORDERED, opaque, open_tile, weigh
from backend.render.model import TILE
from backend.render.project import ONE, F
from backend.render.projected import ProjectedSplats
from backend.render.types import Contributions
from backend.scene.types import Camera
from backend.threads import spread

LEAST = 4096
"""Least number of pixels per thread."""


def label_image(seen: ProjectedSplats, labels: NDArray[np.integer], background: float) -> NDArray[np.int32]:
    """See :meth:`backend.render.engine.Renderer.labels`; all Gaussians of a pixel count."""
    camera, bins = seen.camera, seen.bins
    image = np.empty((camera.height, camera.width), np.int32)
    spread(
        add_labels, len(bins.schedule), bins.schedule, bins.start, bins.members, bins.rows, seen.footprints,
        _writable(labels), int(labels.max(initial=0)), F(background), bins.across, image, least=bins.least,
    )  # fmt: skip
    return image


def label_image_of(
    contributions: Contributions, labels: NDArray[np.integer], camera: Camera, background: float
) -> NDArray[np.int32]:
    """As :meth:`backend.render.engine.Renderer.labels`, from the listed Gaussians of the listed pixels; 0 elsewhere."""
    image = np.zeros(camera.height * camera.width, np.int32)
    strongest = np.zeros(len(contributions.pixels), np.int32)
    spread(
        add_listed, len(strongest), contributions.ids, contributions.weights, _writable(labels), F(background),
        strongest, least=LEAST,
    )  # fmt: skip
    image[contributions.pixels] = strongest
    return image.reshape(camera.height, camera.width)


def _writable(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """Return a writable, contiguous copy, so that the kernels are compiled for one array type only."""
    return np.array(labels, np.int32, order="C")


@kernel(fastmath=ORDERED)
def add_labels(begin, end, schedule, start, members, rows, footprints, labels, highest, background, across, image):
    """Fill image (H, W) int32.

    Args:
        schedule, start, members, rows, across: see :class:`backend.render.tiles.Bins`.
        footprints: see :mod:`backend.render.project`. labels: (N,) int32, from 0 to ``highest``.
        background: weight of the background's light.
    """
    height, width = image.shape
    plane, met = np.empty(highest + 1, np.int64), np.full(highest + 1, -1, np.int64)
    for turn in range(begin, end):
        tile = schedule[turn]
        left, top = (tile % across) * TILE, (tile // across) * TILE
        present = np.empty(min(highest, start[tile + 1] - start[tile]), np.int32)
        size = 0
        for k in range(start[tile], start[tile + 1]):
            label = labels[members[k]]
            if label > 0 and met[label] != tile:
                met[label], plane[label], present[size] = tile, size, label
                size += 1
        sums = np.zeros((size, AREA), np.float32)
        light = open_tile(left, top, width, height)
        weights = np.zeros((TILE, TILE), np.float32)
        flat = weights.reshape(AREA)
        for k in range(start[tile], start[tile + 1] if size > 0 else start[tile]):
            i = members[k]
            low, high = int(rows[k]) % TILE, int(rows[k]) // TILE
            weigh(footprints, i, left, top, low, high, light, weights)
            if labels[i] > 0:
                at = plane[labels[i]]
                for p in range(low * TILE, high * TILE + TILE):
                    sums[at, p] += flat[p]
            if k % CHECK_EVERY == CHECK_EVERY - 1 and opaque(light):
                break
        for y in range(min(TILE, height - top)):
            for x in range(min(TILE, width - left)):
                p = y * TILE + x
                rest = ONE
                for at in range(size):
                    rest -= sums[at, p]
                best, label = background * rest, 0
                for at in range(size):
                    if sums[at, p] > best or (sums[at, p] == best and present[at] < label):
                        best, label = sums[at, p], present[at]
                image[top + y, left + x] = label


@kernel()
def add_listed(begin, end, ids, weights, labels, background, out):
    """Fill out (P,) int32, initially 0, from ids and weights (P, k)."""
    k = ids.shape[1]
    seen = np.empty(k, np.int32)
    sums = np.empty(k, np.float32)
    for p in range(begin, end):
        count = 0
        rest = ONE
        for j in range(k):
            w = weights[p, j]
            if w <= 0:
                continue
            label = labels[ids[p, j]]
            if label == 0:
                continue
            rest -= w
            at = 0
            while at < count and seen[at] != label:
                at += 1
            if at == count:
                seen[at] = label
                sums[at] = F(0)
                count += 1
            sums[at] += w
        best = background * rest
        for at in range(count):
            if sums[at] > best or (sums[at] == best and seen[at] < out[p]):
                best = sums[at]
                out[p] = seen[at]
