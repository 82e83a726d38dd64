"""Show objects as Gaussians or as meshes. Both are kept: one is seen, the other is its hidden child."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from protocol.errors import BadArgument
from protocol.result.gaussians import read_splats
from protocol.result.meshes import Mesh, read_mesh
from protocol.result.names import LABEL, ROW, mesh_path
from protocol.result.table import read_table
from protocol.splats import Splats

from ..session import source_of
from ..splats.collections import ASIDE, BENEATH, SURFACE_OF
from ..splats.columns import read_positions
from ..splats.mesh import add_surface
from ..splats.moved_points import ROUNDING, find_move
from ..splats.origins import origin_of, translation
from .columns import read_column
from .modes import into_object_mode
from .parts import Piece, aside_of, check_filled, check_parts, inner_of, pieces_of, points_of

Form = Literal["GAUSSIANS", "MESH"]


@into_object_mode
def show_form(parts: Iterable[Any], form: Form) -> None:
    """Show objects as "GAUSSIANS" or as "MESH", where they lie. What is not shown is hidden and kept.

    A mesh that was never in the file is read from the result folder.

    Raises:
        BadArgument: if there are no objects, ``form`` is neither, one is the background, has no Gaussians, was edited
            since its mesh was made, or is shown as parts; nothing is changed then.
        BadResult: if the result has no mesh of an object.
    """
    if form not in get_args(Form):
        raise BadArgument(f"The form {form!r} does not exist.", f"Choose one of {', '.join(get_args(Form))}.")
    several = check_parts(parts)
    if form == "GAUSSIANS":
        for part in several:
            for piece in pieces_of(part):
                if piece.surface is not None:
                    _uncover(piece)
        return
    parted = next((part for part in several if any(map(inner_of, pieces_of(part)))), None)
    if parted is not None:
        raise BadArgument(
            f"{parted.name!r} is shown as parts, which have no meshes.", "Import the result again and show it as Mesh."
        )
    for part in several:
        check_filled(part)
        if part.splatlift.kind == "BACKGROUND":
            raise BadArgument("The background has no mesh.", "Select only objects.")
    wanted = [(part, pieces_of(part)[0]) for part in several]
    bare = [(part, piece) for part, piece in wanted if piece.surface is None]
    # All are read before any is changed.
    before: dict[Path, Splats] = {}
    meshes = {part: None if aside_of(piece.thing) else _read(part, piece, before) for part, piece in bare}
    for part, piece in bare:
        aside = aside_of(piece.thing)
        if aside is not None and aside[ASIDE] != points_of(piece.thing):
            raise _edited(part)
    for part, piece in bare:
        mesh = meshes[part]
        _cover(piece.thing, aside_of(piece.thing) if mesh is None else _added(part, piece, mesh))


def _read(part: Any, piece: Piece, before: dict[Path, Splats]) -> Mesh:
    """Return the mesh of an object in the frame of its Gaussians.

    Args:
        before: the Gaussians of results by folder, as far as they were read; that of the object is added.
    """
    folder, label = source_of(part), part.splatlift.label
    mesh = read_mesh(mesh_path(folder, label))
    rows = {row.id: row for row in read_table(folder).objects}
    if label not in rows or rows[label].count != points_of(piece.thing):
        raise _edited(part)
    if folder not in before:
        before[folder] = read_splats(folder)
    matrix = _move(before[folder], label, piece.thing)
    if matrix is None:
        raise _edited(part)
    return mesh._replace(vertices=(mesh.vertices @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32))


def _move(before: Splats, label: int, thing: Any) -> NDArray[np.float64] | None:
    """Return the matrix (4, 4) from the Gaussians of an object in its result to its points in Blender.

    It is that of the origin, unless Blender's Apply has changed it. None if the points moved independently, or are
    other Gaussians.
    """
    own = np.flatnonzero(before.extra[LABEL] == label)
    there, here = before.extra.get(ROW, np.arange(len(before)))[own], read_column(thing.data, ROW)
    of_there, of_here = np.argsort(there, kind="stable"), np.argsort(here, kind="stable")
    if not np.array_equal(there[of_there], here[of_here]):
        return None
    start, end = before.means[own][of_there], read_positions(thing.data)[of_here]
    off = ROUNDING * max(np.abs(start).max(), np.abs(end).max())
    if np.abs(start - origin_of(thing) - end).max() <= off:
        return translation(-origin_of(thing))
    return find_move(start, end)


def _edited(part: Any) -> BadArgument:
    return BadArgument(
        f"The Gaussians of {part.name!r} were edited since its mesh was made.",
        "Undo those edits, or save the edits and make meshes again: backend mesh.",
    )


def _added(part: Any, piece: Piece, mesh: Mesh) -> Any:
    """Add the surface of an object as the hidden child of its Gaussians."""
    thing = piece.thing
    surface = add_surface(part, thing.name, mesh, tuple(thing.color))
    surface.parent = thing
    return surface


def _cover(thing: Any, surface: Any) -> None:
    """Show the surface that is the child of Gaussians, and hide them as its child."""
    name = thing.name
    _swap(thing, surface)
    surface[SURFACE_OF] = thing
    surface.pop(ASIDE, None)
    thing[BENEATH] = True
    thing.name, surface.name = f"{name} Gaussians", name


def _uncover(piece: Piece) -> None:
    thing, surface = piece
    name = surface.name
    _swap(surface, thing)
    del surface[SURFACE_OF]
    del thing[BENEATH]
    surface[ASIDE] = points_of(thing)
    surface.name, thing.name = f"{name} Mesh", name


def _swap(seen: Any, child: Any) -> None:
    """Make the child of an object its parent, where both lie, and what is seen; its other children move along."""
    local = child.matrix_parent_inverse @ child.matrix_basis
    child.parent = seen.parent
    child.matrix_parent_inverse = seen.matrix_parent_inverse
    child.matrix_basis = seen.matrix_basis @ local
    back = local.inverted()
    for other in [each for each in seen.children if each != child]:
        inverse = back @ other.matrix_parent_inverse
        other.parent = child
        other.matrix_parent_inverse = inverse
    seen.parent = child
    seen.matrix_parent_inverse = Matrix.Identity(4)
    seen.matrix_basis = back
    child.hide_viewport = child.hide_render = False
    seen.hide_viewport = seen.hide_render = True
