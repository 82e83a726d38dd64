"""Put the origin of objects to their base or centre; nothing moves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from protocol.errors import BadArgument

from ..splats.attributes import catch_up, is_splats, read_splats
from ..splats.columns import read_positions
from ..splats.export import world_matrix
from ..splats.origins import ORIGIN, Place, extent_of, origin_at, origin_of, shift
from .modes import outside_edit_mode
from .parts import Piece, check_parts, own_data, pieces_of
from .surfaces import check_scale


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
            check_scale(piece.seen, world)
            points = reach_of(piece)
            if len(points):
                _put(piece, origin_at(points, world, place))


def reach_of(piece: Piece) -> NDArray[np.float32]:
    """Return points (P, 3) that tell how far a piece reaches, in the frame of what is seen of it."""
    return extent_of(read_splats(piece.thing.data)) if piece.surface is None else read_positions(piece.surface.data)


def _put(piece: Piece, to: NDArray[np.float64]) -> None:
    """Move the origin of what is seen to ``to`` (3,), in its own frame, and all data and children back."""
    seen = piece.seen
    beneath = piece.thing if piece.surface is not None else None
    if beneath is not None:
        local = np.array(beneath.matrix_parent_inverse @ beneath.matrix_basis, np.float64)
        _move_data(beneath, -np.linalg.solve(local[:3, :3], to))
    _move_data(seen, -to)
    there: Any = Matrix.Translation(to.tolist())
    seen.matrix_basis = seen.matrix_basis @ there
    for child in [each for each in seen.children if each != beneath]:
        child.matrix_parent_inverse = there.inverted() @ child.matrix_parent_inverse


def _move_data(thing: Any, by: NDArray[np.float64]) -> None:
    data = own_data(thing)
    shift(data, by)
    if is_splats(data):
        thing[ORIGIN] = (origin_of(thing) - by).tolist()
