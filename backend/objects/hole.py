"""The hole that an object leaves in the surface it stands on, and copies of Gaussians that fill it.

No photograph shows that surface beneath the object, so Gaussians around it are copied. Of all shifts of the surface
along itself, the one is chosen whose colours agree best with those around the hole. The rest of the hole is filled in
the same way. The hole is the part that no camera sees; Gaussians that a reconstruction left there are replaced, because
their colours are not from a photograph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, Delaunay, QhullError

from backend.render import Renderer
from backend.render.model import NEAR
from backend.render.opacity_depth import DepthRenderer, Depths
from backend.scene.pose import looking_at
from backend.scene.types import Camera
from protocol.result.names import LABEL
from protocol.sh import SH0
from protocol.splats import Splats, merge

SEARCH_WIDTH = 1.0
"""Width of the surroundings that are searched, in diagonals of the object's box."""

THICKNESS = 0.02
"""Thickness of a surface, half of it on each side, in diagonals of the object's box."""

MAX_GAP = 0.1
"""Largest distance between an object and the surface that it stands on, in diagonals of its box."""

MAX_SHARE_BEHIND = 0.1
"""Largest share of an object's Gaussians on the far side of the surface that it stands on."""

RANSAC_SAMPLES = 400
"""Planes through three random Gaussians that are tried."""

MIN_GAUSSIANS = 30
"""Least number of Gaussians of a surface."""

SIDE = 160
"""Pixels along a side of the picture of the surface."""

RIM_WIDTH = 4
"""Width in pixels of the rim of a hole in which colours are compared."""

BORDER_WIDTH = 3
"""Width in pixels of the border around a hole. It is blurred and in shadow, so it is filled and not copied."""

MAX_SIDE = 400
"""Longest side in pixels of the depth maps that tell what cameras see."""

MIN_FILLED_SHARE = 0.5
"""Least share of a hole that is filled; less would look worse than the hole."""

MIN_COPY_SHARE = 0.02
"""Least share of a hole that a copy has to fill."""

MAX_COPIES = 12
"""Most copies for one hole."""

COLOUR_TOLERANCE = 0.15
"""Difference of colours around the hole, 0 to 1, that counts as much as leaving all of the hole open."""

MAX_COLOUR_DIFFERENCE = 0.2
"""Largest difference of colours around the hole, 0 to 1, at which a shift is used."""


class Filled(NamedTuple):
    """The filling of one hole.

    Attributes:
        splats: M copies of Gaussians, with their columns, at their new positions; None if nothing was filled.
        rows: (M,) the rows that they are copies of.
        replaced: (N,) bool, Gaussians of the surface that no camera sees, which the copies replace.
        share: of the hole that they cover, 0 to 1.
        note: a sentence if nothing was filled; else empty.
    """

    splats: Splats | None
    rows: NDArray[np.int64]
    replaced: NDArray[np.bool_]
    share: float
    note: str = ""


class CameraDepths(NamedTuple):
    """A camera, and the depths and ids of the Gaussians of the whole scene that it sees."""

    camera: Camera
    depths: Depths


class Surface(NamedTuple):
    """A plane: ``normal`` (3,) of unit length, towards the object, and a point (3,) on it."""

    normal: NDArray[np.float64]
    point: NDArray[np.float64]


def draw_depths(splats: Splats, cameras: Sequence[Camera]) -> list[CameraDepths]:
    """Return the depth maps of cameras, with a longest side of at most :data:`MAX_SIDE` pixels."""
    renderer, found = DepthRenderer(splats), []
    for camera in cameras:
        share = min(1.0, MAX_SIDE / max(camera.width, camera.height))
        small = camera.resized(max(1, round(camera.width * share)), max(1, round(camera.height * share)))
        found.append(CameraDepths(small, renderer.draw(small, rough=True)))
    return found


def fill_hole(
    splats: Splats,
    own: NDArray[np.bool_],
    source: NDArray[np.bool_],
    views: Sequence[CameraDepths],
    device: str = "auto",
) -> Filled:
    """Return copies of Gaussians that fill the hole beneath an object.

    Args:
        splats: N Gaussians of a scene, with labels.
        own: (N,) bool, those of the object.
        source: (N,) bool, those that may be copied.
        views: from :func:`draw_depths`.
        device: "auto", "cuda" or "cpu".
    """

    def unfilled(note: str) -> Filled:
        return Filled(None, np.zeros(0, np.int64), np.zeros(len(splats), bool), 0.0, note)

    finite = np.isfinite(splats.means).all(1) & np.isfinite(splats.scales).all(1)
    own, source = own & finite, source & finite
    if np.count_nonzero(own) < 4:
        return unfilled("it has too few Gaussians to find the surface beneath it.")
    low, high = (np.quantile(splats.means[own], share, axis=0) for share in (0.01, 0.99))
    size = float(np.linalg.norm(high - low))
    margin = SEARCH_WIDTH * size
    near = source & (splats.means > low - margin).all(1) & (splats.means < high + margin).all(1)
    surface = _surface_beneath(splats.means[own].astype(np.float64), splats, near, size)
    if surface is None:
        return unfilled("there is no flat surface beneath it, so nothing was filled.")
    flat = near & (np.abs((splats.means - surface.point) @ surface.normal) < THICKNESS * size)
    # Of the background, or of the object that this one stands on.
    values, counts = np.unique(splats.extra[LABEL][flat], return_counts=True)
    of_surface = source & (splats.extra[LABEL] == values[counts.argmax()])
    rows = np.flatnonzero(flat & of_surface)
    camera, across = _camera_above(surface, size)
    seen = _seen(surface, across, views, of_surface, 2 * THICKNESS * size)
    hole = _morphed(ndimage.binary_closing, _footprint(splats.means[own], camera) & ~seen)
    if not hole.any():
        return unfilled("cameras see all of the surface beneath it, so there is no hole.")
    patch = splats.pick(rows)
    drawn = DepthRenderer(patch).draw(camera, rough=True).depth > 0
    covered = drawn & _morphed(ndimage.binary_erosion, seen, BORDER_WIDTH)
    colours = np.asarray(Renderer(patch, device).image(camera)).clip(0, 1)
    # The border of the hole, between it and what cameras see well, is filled too.
    hole = _morphed(ndimage.binary_dilation, hole, BORDER_WIDTH) & ~covered
    copies, copied, open_pixels = _copy_into(hole, covered, colours, patch, camera, across)
    share = 1 - float(open_pixels.sum() / hole.sum())
    if share < MIN_FILLED_SHARE:
        return unfilled("the surface around it is too small or too different to be copied, so nothing was filled.")
    replaced = np.zeros(len(splats), bool)
    row, column = np.floor(_pixels(patch.means, camera)).astype(int).clip(0, SIDE - 1).T
    replaced[rows[(hole & ~open_pixels)[row, column]]] = True
    return Filled(merge(copies), rows[np.concatenate(copied)], replaced, share)


def _copy_into(
    hole: NDArray[np.bool_],
    covered: NDArray[np.bool_],
    colours: NDArray[np.float32],
    patch: Splats,
    camera: Camera,
    across: NDArray[np.float64],
) -> tuple[list[Splats], list[NDArray[np.int64]], NDArray[np.bool_]]:
    """Copy a surface into a hole, by one shift after another until nothing more can be filled.

    Args:
        hole: (SIDE, SIDE) bool, pixels to fill.
        covered: (SIDE, SIDE) bool, pixels whose Gaussians may be copied.
        colours: (SIDE, SIDE, 3) float32, 0 to 1, of the surface.
        patch: the P Gaussians of the surface.
        camera, across: from :func:`_camera_above`.

    Returns:
        For each shift the copies and their rows in ``patch``, and (SIDE, SIDE) bool the pixels that stay open.
    """
    places = _pixels(patch.means, camera)
    usable = _at(covered, np.floor(places).astype(int))
    stays = patch.pick(~hole[tuple(np.floor(places).astype(int).clip(0, SIDE - 1).T)])
    copies, copied, open_pixels = [], [], hole.copy()
    while len(copies) < MAX_COPIES and open_pixels.sum() >= MIN_COPY_SHARE * hole.sum():
        shift, gap = _best_shift(open_pixels, covered, colours)
        if shift is None:
            break
        row, column = (np.floor(places + shift).astype(int)).T
        inside = (row >= 0) & (column >= 0) & (row < SIDE) & (column < SIDE)
        taken = np.flatnonzero(inside)
        taken = taken[open_pixels[row[taken], column[taken]] & usable[taken]]
        copied.append(taken)
        copies.append(_copied(patch.pick(taken), across @ shift[::-1], gap))
        open_pixels &= DepthRenderer(merge([stays, *copies])).draw(camera, rough=True).depth == 0
    return copies, copied, open_pixels


def _morphed(way: Callable[..., Any], mask: NDArray[np.bool_], steps: int = 1) -> NDArray[np.bool_]:
    """Return a mask after an operation of ``scipy.ndimage`` such as ``binary_dilation``."""
    return np.asarray(way(mask, iterations=steps), bool)


def _seen(
    surface: Surface,
    across: NDArray[np.float64],
    views: Sequence[CameraDepths],
    source: NDArray[np.bool_],
    slack: float,
) -> NDArray[np.bool_]:
    """Return which pixels (SIDE, SIDE) of the camera above a surface show a place that a camera of the capture sees."""
    row, column = np.mgrid[:SIDE, :SIDE].reshape(2, -1) + 0.5 - SIDE / 2
    points = surface.point + np.stack([column, row], 1) @ across.T
    seen = np.zeros(len(points), bool)
    for view in views:
        there = view.camera.from_world(points)
        z = np.maximum(there[:, 2], 1e-12)
        x, y = (there @ view.camera.K.T)[:, :2].T / z
        inside = (there[:, 2] > NEAR) & (x >= 0) & (y >= 0) & (x < view.camera.width) & (y < view.camera.height)
        at = np.where(inside, y, 0).astype(int), np.where(inside, x, 0).astype(int)
        shown, ids = view.depths.depth[at], view.depths.ids[at]
        # A grazing view shows a place at a depth that is off by more than the thickness of the surface.
        way = view.camera.centre - points
        away = np.abs(way @ surface.normal) / np.linalg.norm(way, axis=1)
        seen |= inside & (ids >= 0) & source[ids] & (np.abs(shown - there[:, 2]) * away < slack)
    return _morphed(ndimage.binary_opening, seen.reshape(SIDE, SIDE))


def _surface_beneath(own: NDArray[np.float64], splats: Splats, near: NDArray[np.bool_], size: float) -> Surface | None:
    """Return the plane with most Gaussians that touches the object and does not cut it, or None (RANSAC, Fischler and
    Bolles 1981)."""
    points = splats.means[near & (splats.alphas > 0.3)].astype(np.float64)
    if len(points) < MIN_GAUSSIANS:
        return None
    rng = np.random.default_rng(0)
    best, most = None, MIN_GAUSSIANS
    for _ in range(RANSAC_SAMPLES):
        a, b, c = points[rng.choice(len(points), 3, replace=False)]
        normal = np.cross(b - a, c - a)
        length = float(np.linalg.norm(normal))
        if length < 1e-9 * size**2:
            continue
        normal /= length
        heights = (own - a) @ normal
        if np.median(heights) < 0:
            normal, heights = -normal, -heights
        behind = np.mean(heights < -THICKNESS * size)
        if behind > MAX_SHARE_BEHIND or np.quantile(heights, 0.02) > MAX_GAP * size:
            continue
        count = int(np.count_nonzero(np.abs((points - a) @ normal) < THICKNESS * size / 2))
        if count > most:
            best, most = Surface(normal, a), count
    if best is None:
        return None
    flat = points[np.abs((points - best.point) @ best.normal) < THICKNESS * size / 2]
    middle = flat.mean(0)
    normal = np.linalg.svd(flat - middle, full_matrices=False)[2][2]
    foot = own.mean(0)
    return Surface(normal if normal @ (foot - middle) > 0 else -normal, foot - (foot - middle) @ normal * normal)


def _camera_above(surface: Surface, size: float) -> tuple[Camera, NDArray[np.float64]]:
    """Return a camera that looks at a surface from far away, and a pixel to the right and down on it, (3, 2)."""
    half = (0.5 + SEARCH_WIDTH) * size
    far = 100 * half
    eye = surface.point + far * surface.normal
    viewmat = looking_at(eye, surface.point, np.eye(3)[np.abs(surface.normal).argmin()])
    focal = SIDE / 2 * far / half
    K = np.array([[focal, 0, SIDE / 2], [0, focal, SIDE / 2], [0, 0, 1.0]])
    return Camera(viewmat, K, SIDE, SIDE), viewmat[:2, :3].T * (2 * half / SIDE)


def _pixels(points: NDArray, camera: Camera) -> NDArray[np.float64]:
    """Return row and column (P, 2) of points."""
    at = camera.from_world(points) @ camera.K.T
    return (at[:, :2] / at[:, 2:])[:, ::-1]


def _footprint(points: NDArray, camera: Camera) -> NDArray[np.bool_]:
    """Return the pixels (SIDE, SIDE) in the convex hull of points."""
    at = _pixels(points, camera)
    pixels = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"), -1).reshape(-1, 2) + 0.5
    try:
        corners = at[ConvexHull(at).vertices]
        return (Delaunay(corners).find_simplex(pixels) >= 0).reshape(SIDE, SIDE)
    except QhullError:  # the object is a line or a point from here
        return np.zeros((SIDE, SIDE), bool)


def _best_shift(
    hole: NDArray[np.bool_], covered: NDArray[np.bool_], colours: NDArray[np.float32]
) -> tuple[NDArray[np.int64] | None, NDArray[np.float64]]:
    """Return the rows and columns (2,) to move the surface by, and the difference in colour (3,) to add to the copies.

    The first is None if no shift fills a part of the hole.
    """
    inner = np.argwhere(hole)
    rim = np.argwhere(_morphed(ndimage.binary_dilation, hole, RIM_WIDTH) & ~hole & covered)
    if not len(rim):
        return None, np.zeros(3)
    best, least, offset = None, np.inf, np.zeros(3)
    step = max(1, int(np.sqrt(len(inner))) // 8)
    there = colours[tuple(rim.T)]
    for down in range(-SIDE + 1, SIDE, step):
        for right in range(-SIDE + 1, SIDE, step):
            if down == 0 == right:
                continue
            fills = _at(covered, inner - [down, right]).mean()
            if fills < MIN_COPY_SHARE:
                continue
            seen = _at(covered, rim - [down, right])
            if seen.sum() < min(20, len(rim)):
                continue
            apart = there[seen] - colours[tuple((rim[seen] - [down, right]).T)]
            unlike = np.sqrt((apart**2).mean())
            worse = (1 - fills) + unlike / COLOUR_TOLERANCE
            if worse < least and unlike < MAX_COLOUR_DIFFERENCE:
                best, least, offset = np.array([down, right]), worse, apart.mean(0)
    return best, offset


def _at(mask: NDArray[np.bool_], at: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return a mask at rows and columns (P, 2); false outside it."""
    inside = (at >= 0).all(1) & (at < mask.shape).all(1)
    found = np.zeros(len(at), bool)
    found[inside] = mask[tuple(at[inside].T)]
    return found


def _copied(splats: Splats, way: NDArray[np.float64], gap: NDArray[np.float64]) -> Splats:
    """Return Gaussians moved by ``way`` (3,), with ``gap`` (3,) added to their colours."""
    sh = splats.sh.copy()
    sh[:, 0] += (gap / SH0).astype(np.float32)
    return replace(splats, means=(splats.means + way).astype(np.float32), sh=sh)
