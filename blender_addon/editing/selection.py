"""The selection of Gaussians as Edit Mode stores it with the data, accessed outside of Edit Mode.

If objects are shown as meshes, a Gaussian is selected if its nearest vertex of the mesh is.
"""

from __future__ import annotations

from typing import Any

import bmesh
import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadArgument

from ..splats.columns import count_of
from .parts import Piece
from .surfaces import rows_under

_NAMES = (".select_vert", ".selection")
"""Attributes with the selection of a mesh and of a point cloud."""


def selected(piece: Piece) -> NDArray[np.bool_]:
    """Return (N,) bool, the selected Gaussians of a piece."""
    if piece.surface is None:
        return read_selection(piece.thing.data)
    return rows_under(piece.surface, read_selection(piece.surface.data), piece.thing)


def read_selection(data: Any) -> NDArray[np.bool_]:
    """Return (N,) bool, the selected points of a data-block."""
    rows = np.zeros(count_of(data), bool)
    attribute = next((data.attributes[name] for name in _NAMES if name in data.attributes), None)
    if attribute is not None and len(rows):
        attribute.data.foreach_get("value", rows)
    return rows


def write_selection(data: Any, rows: NDArray[np.bool_]) -> None:
    """Select the points of ``rows``, (N,) bool, and no others."""
    if len(rows):
        store_selection(data, rows)
        data.update_tag()


def store_selection(data: Any, rows: NDArray[np.bool_]) -> None:
    """As :func:`write_selection`, in Object Mode, where nothing shows it: the data is not evaluated again."""
    if not len(rows):
        return
    name = _NAMES[0] if hasattr(data, "vertices") else _NAMES[1]
    if name not in data.attributes:
        data.attributes.new(name, "BOOLEAN", "POINT")
    data.attributes[name].data.foreach_set("value", np.ascontiguousarray(rows, bool))


def active_point(thing: Any) -> int | None:
    """Return the last point selected in Edit Mode, or None if there is none."""
    if thing.mode == "EDIT" and hasattr(thing.data, "vertices"):
        mesh = bmesh.from_edit_mesh(thing.data)
        mesh.verts.index_update()
        last = mesh.select_history.active
        return last.index if isinstance(last, bmesh.types.BMVert) else None
    chosen = np.flatnonzero(read_selection(thing.data))
    return int(chosen[0]) if len(chosen) == 1 else None


def check_shown(pieces: list[Piece]) -> list[Piece]:
    """Return ``pieces``, after checking that their selection is visible.

    Raises:
        BadArgument: if one is shown as a mesh, which hides the selection of its Gaussians.
    """
    covered = next((piece for piece in pieces if piece.surface is not None), None)
    if covered is not None:
        raise BadArgument(
            f"{covered.surface.name!r} is shown as a mesh, so its Gaussians cannot be selected.",
            "In Object Mode, choose As Gaussians under Edit first.",
        )
    return pieces
