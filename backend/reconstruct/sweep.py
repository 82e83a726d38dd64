"""Surface points from photographs with known cameras, for captures without sparse points.

A plane sweep (Collins 1996) along single rays: many depths are tested for a pixel of one photograph, and the depth is
used at which its neighbourhood matches other photographs best. Pixels on plain surfaces match at any depth; they get a
depth from the nearest sure pixels of their photograph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from backend.compiled import inlined, kernel
from backend.progress import Progress, silent
from backend.reconstruct.photographs import Photograph
from backend.render import model
from backend.threads import spread

NEAR, FAR = 0.05, 6.0
"""Range of tested depths, in units of the cameras' spread: from close to a camera to well behind the scene. Beyond,
repeated patterns such as planks cause false matches."""

DEPTHS = 128
"""Steps of 4 %: about a pixel of disparity at half size for neighbouring cameras."""

RANKS = (0, 1, 3, 6, 8, 11)
"""Photographs that each pixel is compared with, as ranks by distance of their cameras: only the nearest would be too
similar to distinguish depths, and distant ones overlap too little."""

PATCH_STEP = 2
"""Pixels between the 3 x 3 samples of a neighbourhood: they span 5 x 5 pixels at the cost of 9."""

WORST_MATCH = 14.0
"""Largest mean difference of colour values (0 to 255) between matching neighbourhoods."""

CLEAREST = 0.5
"""A match is sure if its difference is at most this share of the median over all depths, and if its depth agrees with
AGREEING of the eight nearest sure pixels of its photograph. False matches are isolated, surfaces are not."""

AGREEING = 4
SAME_DEPTH = 0.12
"""Depths that differ by less than this share are on one surface."""

SAME_COLOUR = 25.0
"""Largest mean difference of colour values at which a photograph shows a point."""

CLOSEST = np.float32(model.NEAR)
ORDERED = {"contract", "arcp", "nsz"}
"""Fast-math flags without the permission to reorder sums."""

SHOWING_SHARE = 0.6
"""Least share of the photographs facing a point that must show it. A point in free space has a different background in
each; a point on a surface is hidden in some."""


def surface_points(
    photos: Sequence[Photograph], count: int, seed: int, progress: Progress = silent
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return at most ``count`` points (P, 3) float32 near surfaces, and their colours (P, 3) uint8; P is at least 1.

    Transparent pixels are skipped, and pure black ones, because an empty background is rendered black. If no
    photographs agree on anything (one photograph, or only black ones), random points in the space seen by the cameras
    are returned.
    """
    rng = np.random.default_rng(seed)
    bundle = _Bundle.of(photos)
    rays = _random_rays(bundle, count, rng)
    depths, sure = _sweep(bundle, rays, progress)
    sure = _agreeing(rays, depths, sure)
    sure[sure] = _shown(bundle, rays.points(depths)[sure], rays.colours[sure])
    depths = _fill_plain_surfaces(rays, depths, sure)
    found = np.isfinite(depths)
    if found.sum() < min(count, 100):
        depths = bundle.spread * np.exp(rng.uniform(np.log(0.3), np.log(3.0), len(depths)))
        found[:] = True
    return rays.points(depths)[found], rays.colours[found]


@dataclass(frozen=True)
class _Bundle:
    """Photographs and cameras as arrays that a kernel can index; images may differ in size.

    Attributes:
        pixels: (sum of H W, 3) uint8, all images concatenated.
        opaque: (sum of H W,) bool, which of them are mostly opaque.
        starts: (V,) int64, the first pixel of each image.
        sizes: (V, 2) int64, width and height.
        projections: (V, 3, 4) float32, world to homogeneous pixels.
        unprojections: (V, 3, 3) float32, homogeneous pixel to world direction with depth 1.
        centres: (V, 3) float32.
        neighbours: (V, len(RANKS)) int64, photographs to compare with, -1 if there is none.
        spread: distance scale of the cameras from their centre.
    """

    pixels: NDArray[np.uint8]
    opaque: NDArray[np.bool_]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    projections: NDArray[np.float32]
    unprojections: NDArray[np.float32]
    centres: NDArray[np.float32]
    neighbours: NDArray[np.int64]
    spread: float

    @classmethod
    def of(cls, photos: Sequence[Photograph]) -> _Bundle:
        cameras = [photo.camera for photo in photos]
        images = [photo.image.cpu().numpy().reshape(-1, 3) for photo in photos]
        centres = np.array([camera.centre for camera in cameras])
        spread = float(np.linalg.norm(centres - centres.mean(0), axis=1).max())
        return cls(
            pixels=np.concatenate(images),
            opaque=np.concatenate([_opaque(photo) for photo in photos]),
            starts=np.cumsum([0] + [len(image) for image in images[:-1]]),
            sizes=np.array([(camera.width, camera.height) for camera in cameras]),
            projections=np.array([camera.K @ camera.viewmat[:3] for camera in cameras], np.float32),
            unprojections=np.array(
                [camera.viewmat[:3, :3].T @ np.linalg.inv(camera.K) for camera in cameras], np.float32
            ),
            centres=centres.astype(np.float32),
            neighbours=_neighbours(centres, np.array([camera.viewmat[2, :3] for camera in cameras])),
            spread=spread if spread > 1e-6 else 1.0,
        )


def _opaque(photo: Photograph) -> NDArray[np.bool_]:
    if photo.alpha is None:
        return np.ones(photo.camera.width * photo.camera.height, bool)
    return photo.alpha.cpu().numpy().reshape(-1) > 127


def _neighbours(centres: NDArray, forward: NDArray) -> NDArray[np.int64]:
    """Return, for each camera, nearby cameras whose direction is within 60 degrees of its own, or -1."""
    found = np.full((len(centres), len(RANKS)), -1, np.int64)
    gaps = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    shut = (forward @ forward.T < 0.5) | (gaps < 1e-6 * gaps.max())
    for camera, order in enumerate(np.argsort(gaps, axis=1, kind="stable")):
        usable = order[~shut[camera][order]]
        ranks = [rank for rank in RANKS if rank < len(usable)]
        found[camera, : len(ranks)] = usable[ranks]
    return found


@dataclass(frozen=True)
class _Rays:
    """R rays.

    Attributes:
        view: (R,) int64, the photograph of each ray.
        pixels: (R, 2) float32, its pixel.
        origins, directions: (R, 3) float32, in the world; a direction has depth 1.
        colours: (R, 3) uint8.
    """

    view: NDArray[np.int64]
    pixels: NDArray[np.float32]
    origins: NDArray[np.float32]
    directions: NDArray[np.float32]
    colours: NDArray[np.uint8]

    def points(self, depths: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return (R, 3), the points of the rays at these depths."""
        return self.origins + self.directions * depths[:, None].astype(np.float32)


def _random_rays(bundle: _Bundle, count: int, rng: np.random.Generator) -> _Rays:
    lit = np.flatnonzero(bundle.pixels.any(1) & bundle.opaque)
    pool = lit if len(lit) else np.arange(len(bundle.pixels))
    chosen = rng.choice(pool, min(count, len(pool)), replace=False)
    view = np.searchsorted(bundle.starts, chosen, side="right") - 1
    local = chosen - bundle.starts[view]
    width = bundle.sizes[view, 0]
    pixels = np.stack([local % width + 0.5, local // width + 0.5, np.ones(len(local))], axis=1).astype(np.float32)
    directions = np.einsum("rij,rj->ri", bundle.unprojections[view], pixels)
    return _Rays(view, pixels[:, :2], bundle.centres[view], directions, bundle.pixels[chosen])


def _sweep(bundle: _Bundle, rays: _Rays, progress: Progress) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the best depth of each ray, NaN without a match, and whether it is sure."""
    ladder = np.geomspace(NEAR * bundle.spread, FAR * bundle.spread, DEPTHS).astype(np.float32)
    best, cost, usual = (np.empty(len(rays.view), np.float32) for _ in range(3))
    chunk = 4096  # rays between two progress reports, a fraction of a second
    for start in range(0, len(rays.view), chunk):
        progress("reconstruct", 0.0, f"estimating surfaces, {100 * start // len(rays.view)} %")
        rows = slice(start, start + chunk)
        view = rays.view[rows]
        spread(
            _sweep_rays,
            len(view),
            bundle.pixels,
            bundle.starts,
            bundle.sizes,
            bundle.projections,
            bundle.unprojections,
            bundle.centres,
            bundle.neighbours,
            view,
            rays.pixels[rows],
            ladder,
            best[rows],
            cost[rows],
            usual[rows],
        )
    matched = cost < WORST_MATCH
    return np.where(matched, best, np.nan).astype(np.float64), matched & (cost < CLEAREST * usual)


def _agreeing(rays: _Rays, depths: NDArray[np.float64], sure: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which sure rays have enough sure neighbours of nearly the same depth in their photograph."""
    agreed = np.zeros(len(sure), bool)
    for view in np.unique(rays.view):
        known = np.flatnonzero((rays.view == view) & sure)
        if len(known) > AGREEING:
            _, near = KDTree(rays.pixels[known]).query(rays.pixels[known], k=min(9, len(known)))
            near = np.asarray(near)[:, 1:]
            ratio = np.log(depths[known][near] / depths[known, None])
            agreed[known] = (np.abs(ratio) < SAME_DEPTH).sum(1) >= AGREEING
    return agreed


def _fill_plain_surfaces(rays: _Rays, depths: NDArray[np.float64], sure: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return depths in which each unsure ray has the depth of one of the nearest sure pixels of its photograph.

    Of eight, the third farthest is used, because a plain patch next to an object is more often its background. A point
    that is too far is hidden or moves forward in training; a point that is too near becomes fog, and without a point
    the hole fills with fog.
    """
    filled = np.where(sure, depths, np.nan)
    for view in np.unique(rays.view):
        here = rays.view == view
        known, asking = np.flatnonzero(here & sure), np.flatnonzero(here & ~sure)
        if len(known) >= 8 and len(asking):
            _, near = KDTree(rays.pixels[known]).query(rays.pixels[asking], k=8)
            filled[asking] = np.sort(depths[known][np.asarray(near)], axis=1)[:, -3]
    return filled


def _shown(bundle: _Bundle, points: NDArray[np.float32], colours: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which points are visible in their colour in most of the photographs that face them."""
    looking, showing = np.zeros(len(points), np.int64), np.zeros(len(points), np.int64)
    spread(
        _count_shown,
        len(points),
        bundle.pixels,
        bundle.starts,
        bundle.sizes,
        bundle.projections,
        points,
        colours,
        looking,
        showing,
    )
    return (showing >= 2) & (showing >= SHOWING_SHARE * looking)


@kernel(fastmath=ORDERED)
def _count_shown(begin, end, pixels, starts, sizes, projections, points, colours, looking, showing):
    for i in range(begin, end):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        for view in range(starts.shape[0]):
            P = projections[view]
            w = P[2, 0] * x + P[2, 1] * y + P[2, 2] * z + P[2, 3]
            if w <= CLOSEST:
                continue
            u = (P[0, 0] * x + P[0, 1] * y + P[0, 2] * z + P[0, 3]) / w
            v = (P[1, 0] * x + P[1, 1] * y + P[1, 2] * z + P[1, 3]) / w
            width, height = sizes[view, 0], sizes[view, 1]
            if not (u >= 1 and v >= 1 and u < width - 1 and v < height - 1):
                continue
            looking[i] += 1
            nearest = np.int64(3 * 255)
            # The best of 3 x 3 pixels, so that half a pixel of error next to an edge does not matter.
            for row in range(int(v) - 1, int(v) + 2):
                for column in range(int(u) - 1, int(u) + 2):
                    at = starts[view] + row * width + column
                    difference = np.int64(0)
                    for c in range(3):
                        difference += abs(np.int64(pixels[at, c]) - np.int64(colours[i, c]))
                    nearest = min(nearest, difference)
            if nearest < 3 * SAME_COLOUR:
                showing[i] += 1


@inlined(fastmath=ORDERED)
def _match(pixels, starts, sizes, projections, patch, origin, directions, depth, other):
    """Return the mean difference of ``patch`` (9, 3) at ``depth`` from photograph ``other``, -1 if outside it."""
    P = projections[other]
    width, height, start = sizes[other, 0], sizes[other, 1], starts[other]
    total = np.float32(0)
    for s in range(9):
        x = origin[0] + directions[s, 0] * depth
        y = origin[1] + directions[s, 1] * depth
        z = origin[2] + directions[s, 2] * depth
        w = P[2, 0] * x + P[2, 1] * y + P[2, 2] * z + P[2, 3]
        if w <= CLOSEST:
            return np.float32(-1)
        u = (P[0, 0] * x + P[0, 1] * y + P[0, 2] * z + P[0, 3]) / w - np.float32(0.5)
        v = (P[1, 0] * x + P[1, 1] * y + P[1, 2] * z + P[1, 3]) / w - np.float32(0.5)
        if not (u >= 0 and v >= 0 and u < width - 1 and v < height - 1):
            return np.float32(-1)
        column, row = int(u), int(v)
        a, b = u - np.float32(column), v - np.float32(row)
        at = start + row * width + column
        for c in range(3):
            upper = (1 - a) * pixels[at, c] + a * pixels[at + 1, c]
            lower = (1 - a) * pixels[at + width, c] + a * pixels[at + width + 1, c]
            total += abs((1 - b) * upper + b * lower - patch[s, c])
    return total / np.float32(27)


@kernel(fastmath=ORDERED)
def _sweep_rays(
    begin, end, pixels, starts, sizes, projections, unprojections, centres, neighbours, view, where, ladder,
    best, cost, usual,
):  # fmt: skip
    for ray in range(begin, end):
        own = view[ray]
        width, height = sizes[own, 0], sizes[own, 1]
        patch = np.empty((9, 3), np.float32)
        directions = np.empty((9, 3), np.float32)
        for s in range(9):
            x = where[ray, 0] + np.float32((s % 3 - 1) * PATCH_STEP)
            y = where[ray, 1] + np.float32((s // 3 - 1) * PATCH_STEP)
            column, row = min(max(int(x), 0), width - 1), min(max(int(y), 0), height - 1)
            for c in range(3):
                patch[s, c] = pixels[starts[own] + row * width + column, c]
                directions[s, c] = (
                    unprojections[own, c, 0] * x + unprojections[own, c, 1] * y + unprojections[own, c, 2]
                )
        costs = np.empty(ladder.shape[0], np.float32)
        matches = np.empty(neighbours.shape[1], np.float32)
        winner = 0
        for d in range(ladder.shape[0]):
            seen = 0
            for n in range(neighbours.shape[1]):
                other = neighbours[own, n]
                if other >= 0:
                    difference = _match(
                        pixels,
                        starts,
                        sizes,
                        projections,
                        patch,
                        centres[own],
                        directions,
                        ladder[d],
                        neighbours[own, n],
                    )
                    if difference >= 0:
                        # Insertion keeps the matches sorted. Only the better half counts, because the point may be
                        # hidden in the others.
                        k = seen
                        while k > 0 and matches[k - 1] > difference:
                            matches[k] = matches[k - 1]
                            k -= 1
                        matches[k] = difference
                        seen += 1
            costs[d] = np.float32(255)
            if seen >= 2:
                used = (seen + 1) // 2 if seen > 2 else 2
                costs[d] = matches[:used].mean()
            if costs[d] < costs[winner]:
                winner = d
        best[ray], cost[ray] = ladder[winner], costs[winner]
        tried = costs[costs < 255]
        usual[ray] = np.median(tried) if tried.shape[0] > 8 else np.float32(0)
