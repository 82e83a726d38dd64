"""Put the origin of objects to their base or centre; nothing moves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from protocol.errors import BadArgument

from ..splats.attributes import catch_up, is_splats, read_splats
from ..splats.collections import ORIGIN
from ..splats.columns import read_positions, write, write_positions
from ..splats.export import world_matrix
from ..splats.moved_points import WRITTEN_AT
from .modes import outside_edit_mode
from .parts import Piece, check_parts, own_data, pieces_of
from .surfaces import check_scale

Place = Literal["BASE", "CENTRE"]

SOLID = 0.3
"""Opacity from which on a Gaussian counts for the extent of an object."""
OUTERMOST = 1.0
"""Per cent of the Gaussians at each end of an axis that do not count, as there may be floaters among them."""


@outside_edit_mode
def set_origin(parts: Iterable[Any], place: Place) -> None:
    """Put the origin of objects to the middle of their bounds in the world, or below that to their lowest point.

    The bounds are those of the mesh where one is seen, else of the opaque Gaussians without the outermost ones.

    Raises:
        BadArgument: if there are no objects, or ``place`` is neither.
        BadSplats: if an object has a scale of zero, or its points were scaled unevenly.
    """
    if place not in get_args(Place):
        raise BadArgument(f"The origin {place!r} does not exist.", f"Choose one of {', '.join(get_args(Place))}.")
    for part in check_parts(parts):
        for piece in pieces_of(part):
            catch_up(own_data(piece.thing))
            world = np.array(world_matrix(piece.seen), np.float64)
            points = extent_of(piece) @ world[:3, :3].T + world[:3, 3]
            if not len(points):
                continue
            low, high = points.min(0), points.max(0)
            target = (low + high) / 2
            if place == "BASE":
                target[2] = low[2]
            check_scale(piece.seen, world)
            _put(piece, np.linalg.solve(world, [*target, 1])[:3])


def origin_of(thing: Any) -> NDArray[np.float64]:
    """Return how far the data of Gaussians were moved from the frame of the capture by :func:`set_origin`, (3,)."""
    return np.array(thing.get(ORIGIN, (0.0, 0.0, 0.0)), np.float64)


def extent_of(piece: Piece) -> NDArray[np.float32]:
    """Return points (P, 3) that tell how far a piece reaches, in the frame of what is seen of it."""
    if piece.surface is not None:
        return read_positions(piece.surface.data)
    splats = read_splats(piece.thing.data)
    means = splats.means[splats.alphas >= SOLID] if (splats.alphas >= SOLID).any() else splats.means
    if not len(means):
        return means
    low, high = np.percentile(means, [OUTERMOST, 100 - OUTERMOST], axis=0)
    return np.clip(means, low, high).astype(np.float32)


def _put(piece: Piece, shift: NDArray[np.float64]) -> None:
    """Move the origin of what is seen by ``shift`` (3,), in its own frame, and all data and children back."""
    seen = piece.seen
    beneath = piece.thing if piece.surface is not None else None
    if beneath is not None:
        local = np.array(beneath.matrix_parent_inverse @ beneath.matrix_basis, np.float64)
        _move_data(beneath, -np.linalg.solve(local[:3, :3], shift))
    _move_data(seen, -shift)
    there: Any = Matrix.Translation(shift.tolist())
    seen.matrix_basis = seen.matrix_basis @ there
    for child in [each for each in seen.children if each != beneath]:
        child.matrix_parent_inverse = there.inverted() @ child.matrix_parent_inverse


def _move_data(thing: Any, by: NDArray[np.float64]) -> None:
    data = own_data(thing)
    moved = (read_positions(data) + by).astype(np.float32)
    write_positions(data, moved)
    if is_splats(data):
        thing[ORIGIN] = (origin_of(thing) - by).tolist()
        if WRITTEN_AT in data.attributes:
            write(data.attributes, WRITTEN_AT, moved)
    data.update_tag()
