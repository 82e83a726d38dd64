"""Writes the parts of objects back to a result folder."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from protocol.errors import BadSplats
from protocol.result.names import LABEL, MAX_LABEL, PART
from protocol.result.part_table import parts_under
from protocol.result.parts import PartTable
from protocol.splats import Splats

from .. import session
from ..splats.attributes import read_splats
from .parts import Piece, inner_of, refresh_part


def separate_inner(parts: list[Any]) -> None:
    """Give inner parts that share a label, for example copies of a collection, labels of their own."""
    used: set[int] = set()
    for part in parts:
        inner = session.parts_of_object(part)
        for known in [each.splatlift for each in inner if each.splatlift.label]:
            if known.label in used:
                known.label = 1 + max(each.splatlift.label for each in inner_parts(parts))
                known.object_id = str(uuid.uuid4())
                if known.label > MAX_LABEL:
                    raise BadSplats(f"A result cannot have more than {MAX_LABEL} parts.", "Merge parts first.")
            used.add(known.label)
        if inner:
            refresh_part(part)


def inner_parts(parts: list[Any]) -> list[Any]:
    """Return the inner parts of objects, without Gaussians that belong to no part."""
    return [inner for part in parts for inner in session.parts_of_object(part) if inner.splatlift.label]


def read_piece(piece: Piece) -> Splats:
    """Return the Gaussians of a piece; if it is in an inner part, with the label of that in the column ``part``."""
    splats, inner = read_splats(piece.thing.data), inner_of(piece)
    if inner is None:
        return splats
    return splats.with_columns(**{PART: np.full(len(splats), inner.splatlift.label, np.int32)})


def with_true_parts(
    table: PartTable | None, splats: Splats, before: NDArray[np.integer]
) -> tuple[PartTable | None, Splats]:
    """Return the table of parts and the Gaussians, their column ``part`` included, as their labels are now.

    Args:
        table: of the result before its first edit; None if it has none.
        before: (N,) the labels of the Gaussians in that result.
    """
    if table is None:
        return None, splats
    column = splats.extra.get(PART) if table.level == "whole" else None
    if table.level == "whole" and column is None:
        return None, splats
    table, column = parts_under(table, column, before, splats.extra[LABEL])
    return table, splats if column is None else splats.with_columns(**{PART: column})


def named(table: PartTable, names: dict[Any, str], present: PartTable | None) -> PartTable:
    """Return the table of parts with the names and colours of the inner parts ``names``, and else those of before."""
    if table.level == "part":
        return table
    given = {row.id: (row.name, row.colour) for row in (present or table).parts}
    for inner, name in names.items():
        r, g, b = (round(float(channel), 6) for channel in inner.splatlift.colour)
        given[inner.splatlift.label] = (name, (r, g, b))
    nothing = (None, None)
    rows = [
        structs.replace(row, name=given.get(row.id, nothing)[0], colour=given.get(row.id, nothing)[1])
        for row in table.parts
    ]
    return structs.replace(table, parts=rows)
