"""Moves Gaussians from one object to another: extract, transform to its frame, join."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import bpy
import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadSplats
from protocol.transform import transform

from ..splats.attributes import read_splats, write_splats
from ..splats.collections import BENEATH, SURFACE_OF
from ..splats.native import is_native, new_native
from ..splats.origins import UNMOVED, shift
from .columns import Source, divide, gather
from .parts import Piece, own_data, remove_piece
from .surfaces import cut_surface, faces_over, join_surface, relative


class Taken(NamedTuple):
    """The Gaussians of a piece to move: ``rows`` is (N,) bool, None for all of them."""

    piece: Piece
    rows: NDArray[np.bool_] | None = None


def cut(piece: Piece, rows: NDArray[np.bool_], part: Any, name: str) -> Piece:
    """Move the Gaussians of ``rows``, (N,) bool, with their part of the surface, to a new piece in another part.

    The new piece has the display and the transform of the old one.
    """
    surface = None
    if piece.surface is not None:
        faces = faces_over(piece.surface, piece.thing, rows)
        surface = _like(piece.surface, cut_surface(own_data(piece.surface), faces), part, name)
    taken, left = divide(piece.thing.data, rows)
    thing = _like(piece.thing, taken, part, f"{name} Gaussians" if surface else name)
    _replace(piece.thing, left)
    shown(piece)
    if surface is not None:
        thing.parent = surface
        surface[SURFACE_OF] = thing
    return shown(Piece(thing, surface))


def join_rows(into: Piece, taken: Sequence[Taken]) -> None:
    """Move Gaussians of other pieces to ``into`` without changing their position; empty pieces are removed.

    A transform of a piece relative to ``into`` is applied to its Gaussians. If one is refused, nothing is changed.

    Raises:
        BadSplats: if a piece is scaled non-uniformly or mirrored relative to ``into``.
    """
    with _in_frame(into, taken) as sources:
        joined = gather(into.thing.data, [Source(into.thing.data), *sources])
    _replace(into.thing, joined)
    for piece, rows in taken:
        if rows is None or rows.all():
            if into.surface is not None and piece.surface is not None:
                join_surface(own_data(into.surface), piece.surface.data, relative(into.surface, piece.surface))
            remove_piece(piece)
        else:
            loose = _drop(piece, rows)
            if loose is not None and into.surface is not None:
                join_surface(own_data(into.surface), loose, relative(into.surface, piece.surface))
            if loose is not None:
                bpy.data.meshes.remove(loose)
            shown(piece)


def drop_rows(piece: Piece, rows: NDArray[np.bool_]) -> None:
    """Delete the Gaussians of ``rows``, (N,) bool, with their part of the surface."""
    if not rows.any():
        return
    loose = _drop(piece, rows)
    if loose is not None:
        bpy.data.meshes.remove(loose)
    shown(piece)


def shown(piece: Piece) -> Piece:
    """Return the piece; if its surface has no faces left, it is shown as points from now on."""
    if piece.surface is None or len(piece.surface.data.polygons):
        return piece
    thing, surface = piece
    basis = surface.matrix_basis @ thing.matrix_parent_inverse @ thing.matrix_basis
    thing.parent = surface.parent
    thing.matrix_parent_inverse = surface.matrix_parent_inverse
    thing.matrix_basis = basis
    thing.hide_viewport = thing.hide_render = False
    del thing[BENEATH]
    name, data = surface.name, surface.data
    bpy.data.objects.remove(surface)
    if data.users == 0:
        bpy.data.meshes.remove(data)
    thing.name = name
    return Piece(thing, None)


def _drop(piece: Piece, rows: NDArray[np.bool_]) -> Any:
    """Remove Gaussians from a piece and return the mesh of their part of the surface, if any."""
    loose = None
    if piece.surface is not None:
        loose = cut_surface(own_data(piece.surface), faces_over(piece.surface, piece.thing, rows))
    _replace(piece.thing, gather(piece.thing.data, [Source(piece.thing.data, ~rows)]))
    return loose


@contextmanager
def _in_frame(into: Piece, taken: Sequence[Taken]) -> Iterator[list[Source]]:
    """Yield the taken Gaussians in the frame of another piece, under its attribute names."""
    made: list[Any] = []
    sources = []
    try:
        for piece, rows in taken:
            matrix = relative(into.thing, piece.thing)
            same_form = is_native(into.thing.data) == is_native(piece.thing.data)
            if same_form and np.allclose(matrix, np.eye(4), rtol=0, atol=UNMOVED):
                sources.append(Source(piece.thing.data, rows))
                continue
            made.append(gather(piece.thing.data, [Source(piece.thing.data, rows)]))
            if same_form and np.allclose(matrix[:3, :3], np.eye(3), rtol=0, atol=UNMOVED):
                shift(made[-1], matrix[:3, 3])
                sources.append(Source(made[-1]))
                continue
            made.append(_moved(made[-1], matrix, piece.seen.name, is_native(into.thing.data)))
            sources.append(Source(made[-1]))
        yield sources
    finally:
        bpy.data.batch_remove(made)


def _moved(data: Any, matrix: NDArray[np.float64], name: str, native: bool) -> Any:
    try:
        splats = transform(read_splats(data), matrix)
    except BadSplats as error:
        raise BadSplats(f"The object {name!r} cannot be joined: {error.sentence}", error.remedy) from error
    if native:
        return new_native("joined", splats)
    made = bpy.data.meshes.new("joined")
    write_splats(made, splats)
    return made


def _replace(thing: Any, data: Any) -> None:
    """Replace the data of an object and keep the name; the old data is removed if unused."""
    old, name = thing.data, thing.data.name
    thing.data = data
    if old.users == 0:
        bpy.data.batch_remove([old])
        data.name = name


def _like(thing: Any, data: Any, part: Any, name: str) -> Any:
    """Return a new object in ``part`` that shows ``data`` with the display of ``thing``."""
    made = thing.copy()
    made.data = data
    made.name = data.name = name
    part.objects.link(made)
    return made
