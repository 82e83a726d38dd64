"""Fills the hole that an object leaves in the surface it stands on.

No photograph shows that surface beneath the object, so Gaussians from around it are copied: of all ways to move the
surface along itself, the one is taken whose colours agree best with those around the hole. What is left of the hole is
filled in the same way. The hole is what no camera sees; Gaussians that a reconstruction left there are replaced, as no
photograph gave them their colours. Copies are marked as invented.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from msgspec import structs
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, Delaunay, QhullError

from backend.objects.export import ids_of
from backend.objects.result import read_cameras
from backend.progress import Progress, silent
from backend.render import Renderer
from backend.render.model import NEAR
from backend.render.opacity_depth import DepthRenderer, Depths
from backend.scene.pose import looking_at
from backend.scene.types import Camera
from protocol.errors import BadArgument, Unavailable
from protocol.ply import write_ply
from protocol.result.embedding import read_embedding, write_embedding
from protocol.result.folder import check_out, whole_folder
from protocol.result.gaussians import read_splats
from protocol.result.names import (
    BACKUP,
    CONFIDENCE,
    CORRECTIONS,
    EMBEDDING,
    EVIDENCE,
    INVENTED,
    LABEL,
    PART,
    ROW,
    SPLATS,
    TABLE,
    object_path,
)
from protocol.result.table import ObjectTable, object_row, read_table, write_table
from protocol.sh import SH0
from protocol.splats import Splats, merge
from protocol.store import link_or_copy

AROUND = 1.0
"""Width of the surroundings that are searched, in diagonals of the object's box."""

THICK = 0.02
"""Thickness of a surface, half of it on each side, in diagonals of the object's box."""

TOUCHING = 0.1
"""Largest distance between an object and the surface that it stands on, in diagonals of its box."""

BEHIND = 0.1
"""Largest share of an object's Gaussians on the far side of the surface that it stands on."""

DRAWS = 400
"""Planes through three random Gaussians that are tried."""

FEWEST = 30
"""Least number of Gaussians of a surface."""

SIDE = 160
"""Pixels along a side of the picture of the surface."""

RIM = 4
"""Width in pixels of what is compared around a hole."""

EDGE = 3
"""Width in pixels of the border of a hole that is not copied, but filled: it is blurred and in shadow."""

LONGEST = 400
"""Most pixels along the longer side of the pictures that tell what cameras see."""

ENOUGH = 0.5
"""Least share of a hole that is filled; less would look worse than the hole."""

LEAST = 0.02
"""Least share of a hole that a copy has to fill."""

ROUNDS = 12
"""Most copies for one hole."""

UNLIKE = 0.15
"""Difference of colours around the hole, 0 to 1, that counts as much as leaving all of the hole open."""


TOO_UNLIKE = 0.2
"""Difference of colours around the hole from which on nothing is copied."""


class Filled(NamedTuple):
    """What was filled.

    Attributes:
        splats: copies of Gaussians, with their columns, at their new place.
        rows: (M,) the rows that they are copies of.
        replaced: (N,) bool, Gaussians of the surface that no camera sees, in whose place the copies are.
        share: of the hole that they cover, 0 to 1.
        note: a sentence if nothing was filled; else empty.
    """

    splats: Splats | None
    rows: NDArray[np.int64]
    replaced: NDArray[np.bool_]
    share: float
    note: str = ""


class Look(NamedTuple):
    """What a camera sees of the whole scene."""

    camera: Camera
    depths: Depths


class Surface(NamedTuple):
    """A plane: ``normal`` (3,) of unit length, towards the object, and a point (3,) on it."""

    normal: NDArray[np.float64]
    point: NDArray[np.float64]


def fill(
    folder: Path, wanted: Sequence[str], out: Path, *, device: str = "auto", progress: Progress = silent
) -> tuple[int, list[str]]:
    """Write a result in which the surface beneath objects is whole; the objects are still there.

    The evidence of the masks and corrections belong to the Gaussians before, and stay in ``folder``.

    Args:
        folder: a result.
        wanted: ids or names from ``objects.json``; "all" means every object.
        out: the new result; not ``folder``.

    Returns:
        The number of copied Gaussians, and a sentence about each object.

    Raises:
        BadResult: if the folder is not a result or has no cameras. NotFound: if it lacks an object. BadArgument: if
            ``out`` is ``folder`` or contains something else than a result. Unavailable: if ``out`` cannot be written.
    """
    check_out(out)
    if out.resolve() == folder.resolve():
        raise BadArgument(f"The output {out} is the result that is filled.", "Choose another folder.")
    table = read_table(folder)
    names = {row.id: row.name for row in table.objects}
    labels = [label for label in ids_of(table, wanted, folder) if label]
    splats = read_splats(folder)
    looks = looks_at(splats, list(read_cameras(folder).values()))
    parts, rows, notes = [], [], []
    replaced = np.zeros(len(splats), bool)
    # Objects that are filled are taken away together, so one is not copied beneath another.
    source = ~np.isin(splats.extra[LABEL], labels)
    for done, label in enumerate(labels):
        progress("objects", done / len(labels), f"hole {done + 1} of {len(labels)}")
        filled = fill_one(splats, splats.extra[LABEL] == label, source, looks, device)
        if filled.splats is None:
            notes.append(f"{names[label]}: {filled.note}")
            continue
        notes.append(f"{names[label]}: {len(filled.rows):,} Gaussians fill {filled.share:.0%} of the hole beneath it.")
        parts.append(filled.splats)
        rows.append(filled.rows)
        replaced |= filled.replaced
    kept = np.flatnonzero(~replaced)
    try:
        _write(folder, out, table, _marked(splats.pick(kept), parts), np.concatenate([kept, *rows]), len(kept))
    except OSError as error:
        raise Unavailable(
            f"The result cannot be written to {out}: {error.strerror or error}.",
            "Choose a folder with write permission.",
        ) from error
    return sum(len(part) for part in parts), notes


def looks_at(splats: Splats, cameras: Sequence[Camera]) -> list[Look]:
    """Return what cameras see of a scene, in pictures of at most :data:`LONGEST` pixels."""
    renderer, found = DepthRenderer(splats), []
    for camera in cameras:
        share = min(1.0, LONGEST / max(camera.width, camera.height))
        small = camera.resized(max(1, round(camera.width * share)), max(1, round(camera.height * share)))
        found.append(Look(small, renderer.draw(small, rough=True)))
    return found


def fill_one(
    splats: Splats, own: NDArray[np.bool_], source: NDArray[np.bool_], looks: Sequence[Look], device: str = "auto"
) -> Filled:
    """Return copies of Gaussians that fill the hole beneath an object.

    Args:
        splats: N Gaussians of a scene.
        own: (N,) those of the object.
        source: (N,) those that may be copied; with labels.
        looks: from :func:`looks_at`.
    """

    def unfilled(note: str) -> Filled:
        return Filled(None, np.zeros(0, np.int64), np.zeros(len(splats), bool), 0.0, note)

    finite = np.isfinite(splats.means).all(1) & np.isfinite(splats.scales).all(1)
    own, source = own & finite, source & finite
    if np.count_nonzero(own) < 4:
        return unfilled("it has too few Gaussians to find the surface beneath it.")
    low, high = (np.quantile(splats.means[own], share, axis=0) for share in (0.01, 0.99))
    size = float(np.linalg.norm(high - low))
    near = source & (splats.means > low - AROUND * size).all(1) & (splats.means < high + AROUND * size).all(1)
    surface = _surface_beneath(splats.means[own].astype(np.float64), splats, near, size)
    if surface is None:
        return unfilled("there is no flat surface beneath it, so nothing was filled.")
    flat = near & (np.abs((splats.means - surface.point) @ surface.normal) < THICK * size)
    # Of the background, or of the object that this one stands on.
    values, counts = np.unique(splats.extra[LABEL][flat], return_counts=True)
    of_surface = source & (splats.extra[LABEL] == values[counts.argmax()])
    rows = np.flatnonzero(flat & of_surface)
    camera, across = _camera_above(surface, size)
    patch = splats.pick(rows)
    seen = _seen(surface, camera, across, looks, of_surface, 2 * THICK * size)
    hole = _changed(ndimage.binary_closing, _footprint(splats.means[own], camera) & ~seen)
    if not hole.any():
        return unfilled("cameras see all of the surface beneath it, so there is no hole.")
    covered = (DepthRenderer(patch).draw(camera, rough=True).depth > 0) & _changed(ndimage.binary_erosion, seen, EDGE)
    colours = np.asarray(Renderer(patch, device).image(camera)).clip(0, 1)
    places = _pixels(splats.means[rows], camera)
    whole = _at(covered, np.floor(places).astype(int))
    # Between the hole and what is seen well lies a border that is filled too.
    hole = _changed(ndimage.binary_dilation, hole, EDGE) & ~covered
    found, moved, left = [], [], hole.copy()
    for _ in range(ROUNDS):
        shift, gap = _best_shift(left, covered, colours, left.sum() < LEAST * hole.sum())
        if shift is None:
            break
        row, column = (np.floor(places + shift).astype(int)).T
        inside = (row >= 0) & (column >= 0) & (row < SIDE) & (column < SIDE)
        taken = np.flatnonzero(inside)
        taken = taken[left[row[taken], column[taken]] & whole[taken]]
        found.append(rows[taken])
        moved.append(_copied(splats.pick(rows[taken]), across @ shift[::-1], gap))
        stays = patch.pick(~hole[tuple(np.floor(places).astype(int).clip(0, SIDE - 1).T)])
        left &= DepthRenderer(merge([stays, *moved])).draw(camera, rough=True).depth == 0
    share = 1 - float(left.sum() / hole.sum())
    if share < ENOUGH:
        return unfilled("the surface around it is too small or too different to be copied, so nothing was filled.")
    replaced = np.zeros(len(splats), bool)
    row, column = np.floor(places).astype(int).clip(0, SIDE - 1).T
    replaced[rows[(hole & ~left)[row, column]]] = True
    return Filled(merge(moved), np.concatenate(found), replaced, share)


def _changed(way: Callable[..., Any], mask: NDArray[np.bool_], steps: int = 1) -> NDArray[np.bool_]:
    """Return a mask after an operation of ``scipy.ndimage`` such as ``binary_dilation``."""
    return np.asarray(way(mask, iterations=steps), bool)


def _seen(
    surface: Surface,
    camera: Camera,
    across: NDArray[np.float64],
    looks: Sequence[Look],
    source: NDArray[np.bool_],
    slack: float,
) -> NDArray[np.bool_]:
    """Return which pixels (SIDE, SIDE) of the camera above a surface show a place that a camera of the capture sees."""
    row, column = np.mgrid[:SIDE, :SIDE].reshape(2, -1) + 0.5 - SIDE / 2
    points = surface.point + np.stack([column, row], 1) @ across.T
    seen = np.zeros(len(points), bool)
    for look in looks:
        there = points @ look.camera.viewmat[:3, :3].T + look.camera.viewmat[:3, 3]
        z = np.maximum(there[:, 2], 1e-12)
        x, y = (there @ look.camera.K.T)[:, :2].T / z
        inside = (there[:, 2] > NEAR) & (x >= 0) & (y >= 0) & (x < look.camera.width) & (y < look.camera.height)
        at = np.where(inside, y, 0).astype(int), np.where(inside, x, 0).astype(int)
        shown, ids = look.depths.depth[at], look.depths.ids[at]
        # A grazing view shows a place at a depth that is off by more than the thickness of the surface.
        way = look.camera.centre - points
        away = np.abs(way @ surface.normal) / np.linalg.norm(way, axis=1)
        seen |= inside & (ids >= 0) & source[ids] & (np.abs(shown - there[:, 2]) * away < slack)
    return _changed(ndimage.binary_opening, seen.reshape(SIDE, SIDE))


def _surface_beneath(own: NDArray[np.float64], splats: Splats, near: NDArray[np.bool_], size: float) -> Surface | None:
    """Return the plane with most Gaussians that touches the object and does not cut it, or None (RANSAC, Fischler and
    Bolles 1981)."""
    points = splats.means[near & (splats.alphas > 0.3)].astype(np.float64)
    if len(points) < FEWEST:
        return None
    rng = np.random.default_rng(0)
    best, most = None, FEWEST
    for _ in range(DRAWS):
        a, b, c = points[rng.choice(len(points), 3, replace=False)]
        normal = np.cross(b - a, c - a)
        length = float(np.linalg.norm(normal))
        if length < 1e-9 * size**2:
            continue
        normal /= length
        heights = (own - a) @ normal
        if np.median(heights) < 0:
            normal, heights = -normal, -heights
        behind = np.mean(heights < -THICK * size)
        if behind > BEHIND or np.quantile(heights, 0.02) > TOUCHING * size:
            continue
        count = int(np.count_nonzero(np.abs((points - a) @ normal) < THICK * size / 2))
        if count > most:
            best, most = Surface(normal, a), count
    if best is None:
        return None
    flat = points[np.abs((points - best.point) @ best.normal) < THICK * size / 2]
    middle = flat.mean(0)
    normal = np.linalg.svd(flat - middle, full_matrices=False)[2][2]
    foot = own.mean(0)
    return Surface(normal if normal @ (foot - middle) > 0 else -normal, foot - (foot - middle) @ normal * normal)


def _camera_above(surface: Surface, size: float) -> tuple[Camera, NDArray[np.float64]]:
    """Return a camera that looks at a surface from far away, and a pixel to the right and down on it, (3, 2)."""
    half = (0.5 + AROUND) * size
    far = 100 * half
    eye = surface.point + far * surface.normal
    viewmat = looking_at(eye, surface.point, np.eye(3)[np.abs(surface.normal).argmin()])
    focal = SIDE / 2 * far / half
    K = np.array([[focal, 0, SIDE / 2], [0, focal, SIDE / 2], [0, 0, 1.0]])
    return Camera(viewmat, K, SIDE, SIDE), viewmat[:2, :3].T * (2 * half / SIDE)


def _pixels(points: NDArray, camera: Camera) -> NDArray[np.float64]:
    """Return row and column (P, 2) of points."""
    at = (points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]) @ camera.K.T
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
    hole: NDArray[np.bool_], covered: NDArray[np.bool_], colours: NDArray[np.float32], done: bool
) -> tuple[NDArray[np.int64] | None, NDArray[np.float64]]:
    """Return the rows and columns (2,) to move the surface by, and the difference of colours (3,) that it makes up for.

    None if no way fills a part of the hole.
    """
    none = None, np.zeros(3)
    if done:
        return none
    inner = np.argwhere(hole)
    rim = np.argwhere(_changed(ndimage.binary_dilation, hole, RIM) & ~hole & covered)
    if not len(rim):
        return none
    best, least, offset = None, np.inf, np.zeros(3)
    step = max(1, int(np.sqrt(len(inner))) // 8)
    there = colours[tuple(rim.T)]
    for down in range(-SIDE + 1, SIDE, step):
        for right in range(-SIDE + 1, SIDE, step):
            if down == 0 == right:
                continue
            fills = _at(covered, inner - [down, right]).mean()
            if fills < LEAST:
                continue
            seen = _at(covered, rim - [down, right])
            if seen.sum() < min(20, len(rim)):
                continue
            apart = there[seen] - colours[tuple((rim[seen] - [down, right]).T)]
            unlike = np.sqrt((apart**2).mean())
            worse = (1 - fills) + unlike / UNLIKE
            if worse < least and unlike < TOO_UNLIKE:
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


def _marked(splats: Splats, parts: Sequence[Splats]) -> Splats:
    """Return all Gaussians with a column that marks the copies; what was marked before stays marked."""
    before = splats.extra.get(INVENTED, np.zeros(len(splats), np.uint8)).astype(np.uint8)
    kept = {name: column for name, column in splats.extra.items() if name != ROW}
    own = replace(splats, extra=kept | {INVENTED: before})
    new = [replace(part, extra=part.extra | _extra(part)) for part in parts]
    return merge([own, *new])


def _extra(copies: Splats) -> dict[str, NDArray]:
    """Return the columns of copies that differ from those of their originals: they belong to no part of an object."""
    no_part = {PART: np.zeros_like(copies.extra[PART])} if PART in copies.extra else {}
    return {INVENTED: np.ones(len(copies), np.uint8), **no_part}


def _write(folder: Path, out: Path, table: ObjectTable, splats: Splats, rows: NDArray[np.int64], count: int) -> None:
    """Write the new result; everything that does not change is linked.

    Args:
        splats: of the new result.
        rows: (N,) those of the result before that they are, or are copies of.
        count: those that are no copies.
    """
    left = {SPLATS, TABLE, EMBEDDING, EVIDENCE, CORRECTIONS, BACKUP}
    labels, before = splats.extra[LABEL], read_splats(folder)
    changed = {row.id for row in table.objects if row.count != np.count_nonzero(labels == row.id)}
    changed |= set(np.unique(labels[count:]).tolist())
    embedding = read_embedding(folder, len(before))
    with whole_folder(out) as new:
        shutil.copytree(
            folder, new, copy_function=link_or_copy, dirs_exist_ok=True,
            ignore=lambda where, names: left & set(names) if Path(where) == folder else set(),
        )  # fmt: skip
        write_ply(splats, new / SPLATS)
        if embedding is not None:
            write_embedding(new, embedding[rows])
        listed = []
        for row in table.objects:
            if row.id not in changed:
                listed.append(row)
                continue
            own = splats.pick(labels == row.id)
            made = object_row(
                row.id, row.name, own.means, own.opacities, own.extra[CONFIDENCE], colour=row.colour, views=row.views,
                matrix=row.matrix,
            )  # fmt: skip
            listed.append(made)
            path = object_path(new, row.id)
            path.unlink(missing_ok=True)  # it may be a link to the file of the result before
            write_ply(own.without_columns(), path)
        write_table(new, structs.replace(table, objects=listed))
