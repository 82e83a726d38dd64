"""Delete objects, or selected Gaussians of objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import bpy

from protocol.errors import BadArgument

from .modes import all_in_edit_mode, into_object_mode, outside_edit_mode
from .moving import drop_rows
from .parts import check_parts, pieces_of, points_of, refresh_or_dissolve, refresh_part, remove_part, scene_of
from .selection import selected


@into_object_mode
def delete(parts: Iterable[Any]) -> None:
    """Delete objects with their Gaussians.

    Raises:
        BadArgument: if there are none.
    """
    several = check_parts(parts)
    inside = {child for part in several for child in part.children_recursive}
    # A part in the collection of another goes with it.
    for part in [part for part in several if part not in inside]:
        remove_part(part)


def delete_selection(parts: Iterable[Any]) -> int:
    """Delete the selected Gaussians of objects and return their number; objects that become empty are removed.

    Raises:
        BadArgument: if nothing is selected.
    """
    several = check_parts(parts)
    return _delete_in_edit_mode(several) if _can_stay(several) else _delete(several)


def _can_stay(parts: list[Any]) -> bool:
    """Whether Blender can delete the selection without leaving Edit Mode, which takes longer than deleting.

    Blender deletes from all meshes in Edit Mode, for all objects that share a mesh, and ignores hidden Gaussians.
    """
    pieces = [piece for part in parts for piece in pieces_of(part)]
    return all_in_edit_mode(piece.thing for piece in pieces) and all(
        piece.surface is None
        and piece.thing.data.users == 1
        and piece.thing.data.total_vert_sel < points_of(piece.thing)
        for piece in pieces
    )


def _delete_in_edit_mode(parts: list[Any]) -> int:
    count = sum(piece.thing.data.total_vert_sel for part in parts for piece in pieces_of(part))
    _check_any(count)
    bpy.ops.mesh.delete(type="VERT")
    for part in parts:
        refresh_part(part)
    return count


@outside_edit_mode
def _delete(parts: list[Any]) -> int:
    chosen = [(piece, selected(piece)) for part in parts for piece in pieces_of(part)]
    count = sum(int(rows.sum()) for _, rows in chosen)
    _check_any(count)
    scene = scene_of(parts[0])
    for piece, rows in chosen:
        drop_rows(piece, rows)
    for part in parts:
        refresh_or_dissolve(part, scene)
    return count


def _check_any(count: int) -> None:
    if not count:
        raise BadArgument("No Gaussians are selected.", "Select Gaussians in Edit Mode.")
