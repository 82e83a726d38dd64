"""Gaussians on their way from one object to another: taken out, turned into its frame, joined to what is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import bpy
import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadSplats
from protocol.transform import transform

from ..splats.attributes import read_splats, write_splats
from ..splats.collections import BENEATH, SURFACE_OF
from ..splats.export import UNMOVED
from ..splats.native import is_native, new_native
from .columns import Columns, join, read_columns, write_columns
from .parts import Piece, own_data, remove_piece
from .surfaces import cut_surface, faces_over, join_surface, relative


def cut(piece: Piece, rows: NDArray[np.bool_], part: Any, name: str) -> Piece:
    """Move the Gaussians of ``rows``, (N,) bool, with their share of the surface, to a new piece in another part.

    The new piece looks like the old one and lies where it lies.
    """
    surface = None
    if piece.surface is not None:
        faces = faces_over(piece.surface, piece.thing, rows)
        surface = _like(piece.surface, cut_surface(own_data(piece.surface), faces), part, name)
    data = own_data(piece.thing)
    taken = read_columns(data, rows)
    thing = _like(piece.thing, _empty(data), part, f"{name} Gaussians" if surface else name)
    write_columns(thing.data, taken)
    write_columns(data, read_columns(data, ~rows))
    shown(piece)
    if surface is not None:
        thing.parent = surface
        surface[SURFACE_OF] = thing
    return shown(Piece(thing, surface))


def join_pieces(into: Piece, others: Sequence[Piece]) -> None:
    """Join the Gaussians and surfaces of other pieces to one, where they lie, and remove those pieces.

    Where a piece has another place, turn or scale than the first, that is baked into its Gaussians. Nothing is changed
    if a piece is refused.

    Raises:
        BadSplats: if a piece is scaled by different factors along its axes or mirrored against the first.
    """
    columns = [
        _in_frame(read_columns(other.thing.data), relative(into.thing, other.thing), into.thing, other.thing)
        for other in others
    ]
    data = own_data(into.thing)
    write_columns(data, join([read_columns(data), *columns]))
    for other in others:
        if into.surface is not None and other.surface is not None:
            join_surface(own_data(into.surface), other.surface.data, relative(into.surface, other.surface))
        remove_piece(other)


class Taken(NamedTuple):
    """The Gaussians of a piece that shall move: ``rows`` is (N,) bool."""

    piece: Piece
    rows: NDArray[np.bool_]


def move_rows(into: Piece, taken: Sequence[Taken]) -> None:
    """Move chosen Gaussians of other pieces to one; nothing is changed if one is refused.

    Raises:
        BadSplats: as :func:`join_pieces`.
    """
    whole = [piece for piece, rows in taken if rows.all()]
    some = [(piece, rows) for piece, rows in taken if not rows.all()]
    columns = [
        _in_frame(read_columns(piece.thing.data, rows), relative(into.thing, piece.thing), into.thing, piece.thing)
        for piece, rows in some
    ]
    join_pieces(into, whole)
    data = own_data(into.thing)
    write_columns(data, join([read_columns(data), *columns]))
    for piece, rows in some:
        if piece.surface is not None:
            faces = faces_over(piece.surface, piece.thing, rows)
            loose = cut_surface(own_data(piece.surface), faces)
            if into.surface is not None:
                join_surface(own_data(into.surface), loose, relative(into.surface, piece.surface))
            bpy.data.meshes.remove(loose)
        data = own_data(piece.thing)
        write_columns(data, read_columns(data, ~rows))
        shown(piece)


def drop_rows(piece: Piece, rows: NDArray[np.bool_]) -> None:
    """Delete the Gaussians of ``rows``, (N,) bool, with their share of the surface."""
    if not rows.any():
        return
    if piece.surface is not None:
        faces = faces_over(piece.surface, piece.thing, rows)
        bpy.data.meshes.remove(cut_surface(own_data(piece.surface), faces))
    data = own_data(piece.thing)
    write_columns(data, read_columns(data, ~rows))
    shown(piece)


def shown(piece: Piece) -> Piece:
    """Return the piece, shown as points from now on where no face of its surface is left."""
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


def _in_frame(columns: Columns, matrix: NDArray[np.float64], into: Any, thing: Any) -> Columns:
    """Return columns in another object's frame, under the attribute names that it has."""
    same_form = is_native(into.data) == is_native(thing.data)
    if same_form and np.allclose(matrix, np.eye(4), rtol=0, atol=UNMOVED):
        return columns
    data = _empty(thing.data)
    write_columns(data, columns)
    try:
        splats = transform(read_splats(data), matrix)
    except BadSplats as error:
        raise BadSplats(f"The object {thing.name!r} cannot be joined: {error.sentence}", error.remedy) from error
    finally:
        bpy.data.batch_remove([data])
    if is_native(into.data):
        made = new_native("joined", splats)
    else:
        made = bpy.data.meshes.new("joined")
        write_splats(made, splats)
    after = read_columns(made)
    bpy.data.batch_remove([made])
    if not same_form:
        return after
    return after._replace(kinds=columns.kinds | after.kinds, values=columns.values | after.values)


def _like(thing: Any, data: Any, part: Any, name: str) -> Any:
    """A new object in ``part`` that shows ``data`` as another shows its own."""
    made = thing.copy()
    made.data = data
    made.name = data.name = name
    part.objects.link(made)
    return made


def _empty(data: Any) -> Any:
    """A copy of a data-block without its points: materials and properties are kept."""
    copy = data.copy()
    if hasattr(copy, "clear_geometry"):
        copy.clear_geometry()
    else:
        copy.resize(0)
    return copy
