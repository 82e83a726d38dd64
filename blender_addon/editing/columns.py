"""The attributes on the points of a data-block as plain arrays: read, picked, joined, written again.

Attributes are moved by name and type, whatever they mean, so nothing is lost that an import or a person put there.
What Blender keeps for itself, such as the selection, is left out: an edited data-block has nothing selected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadSplats

from ..splats.attributes import PADDED
from ..splats.columns import count_of, resize

LABEL = "label"
"""The column with the label of the object that a Gaussian belongs to."""


class Kind(NamedTuple):
    """How values of an attribute type are moved: their key in ``foreach_get``, dtype and count per point."""

    key: str
    dtype: type[np.generic]
    width: int


KINDS = {
    "FLOAT": Kind("value", np.float32, 1),
    "INT": Kind("value", np.int32, 1),
    "INT8": Kind("value", np.int8, 1),
    "BOOLEAN": Kind("value", np.bool_, 1),
    "FLOAT2": Kind("vector", np.float32, 2),
    "FLOAT_VECTOR": Kind("vector", np.float32, 3),
    "FLOAT4": Kind("vector", np.float32, 4),
    "FLOAT_COLOR": Kind("color", np.float32, 4),
    "BYTE_COLOR": Kind("color", np.float32, 4),
    "QUATERNION": Kind("value", np.float32, 4),
}


class Columns(NamedTuple):
    """The attributes of N points.

    Attributes:
        kinds: Blender's type of each attribute, by its name.
        values: by name, (N * width,) contiguous arrays.
        count: N.
        padded: whether the data-block is marked as of degree 0 with higher harmonics added as zeros.
    """

    kinds: dict[str, str]
    values: dict[str, NDArray]
    count: int
    padded: bool


def read_columns(data: Any, rows: NDArray[np.bool_] | None = None) -> Columns:
    """Return the columns of a data-block that is not in Edit Mode, or those of ``rows`` (N,) bool alone.

    Raises:
        BadSplats: if an attribute has a type that cannot be moved.
    """
    kinds = dict(_kinds(data))
    # Indices, as picking by them is ten times faster than by the mask.
    chosen = None if rows is None else np.flatnonzero(rows)
    return Columns(
        kinds,
        {name: _picked(_read(data, name, kind), KINDS[kind].width, chosen) for name, kind in kinds.items()},
        count_of(data) if chosen is None else len(chosen),
        bool(data.get(PADDED)),
    )


def read_column(data: Any, name: str) -> NDArray:
    """Return one attribute as (N,) or, where a point has several numbers, (N, width).

    Raises:
        BadSplats: if there is none of that name.
    """
    kind = dict(_kinds(data)).get(name)
    if kind is None:
        raise BadSplats(f"The splat {data.name!r} has no attribute {name}.", "Import the object again.")
    values = _read(data, name, kind)
    return values if KINDS[kind].width == 1 else values.reshape(-1, KINDS[kind].width)


def write_columns(data: Any, columns: Columns) -> None:
    """Make ``columns`` all that a data-block holds."""
    colours = getattr(data, "color_attributes", None)
    shown = colours.active_color_name if colours is not None else ""
    if hasattr(data, "clear_geometry"):
        data.clear_geometry()
    resize(data, columns.count)
    # Making an attribute may move the others, so all are made before any is looked up.
    for name, kind in columns.kinds.items():
        if name not in data.attributes and name != "position":  # data without a point have no positions
            data.attributes.new(name, kind, "POINT")
    for name, values in columns.values.items():
        if columns.count:
            data.attributes[name].data.foreach_set(KINDS[columns.kinds[name]].key, values)
    if shown and shown in columns.kinds and colours is not None:
        colours.active_color_name = shown
    if columns.padded:
        data[PADDED] = True
    elif PADDED in data:
        del data[PADDED]
    data.update_tag()


def join(parts: Sequence[Columns]) -> Columns:
    """Return the points of all ``parts``, one after the other; numbers that a part lacks become 0.

    Raises:
        BadSplats: if attributes of one name have different types.
    """
    kinds: dict[str, str] = {}
    for part in parts:
        for name, kind in part.kinds.items():
            if kinds.setdefault(name, kind) != kind:
                raise BadSplats(f"The attribute {name} is {kinds[name]} in one object and {kind} in another.")
    values: dict[str, NDArray] = {}
    for name, kind in kinds.items():
        of = KINDS[kind]
        pieces = [part.values.get(name) for part in parts]
        values[name] = np.concatenate(
            [
                np.zeros(part.count * of.width, of.dtype) if piece is None else piece
                for piece, part in zip(pieces, parts, strict=True)
            ]
        )
    return Columns(kinds, values, sum(part.count for part in parts), all(part.padded for part in parts))


def relabel(data: Any, label: int) -> None:
    """Set the label of every point, where points have one."""
    if data.attributes.get(LABEL) is not None and count_of(data):
        data.attributes[LABEL].data.foreach_set("value", np.full(count_of(data), label, np.int32))


def _kinds(data: Any) -> Iterator[tuple[str, str]]:
    for attribute in data.attributes:
        if attribute.domain != "POINT" or attribute.name.startswith("."):
            continue
        if attribute.data_type not in KINDS:
            raise BadSplats(
                f"{data.name!r} cannot be edited: its attribute {attribute.name!r} has the type {attribute.data_type}.",
                "Remove it, or convert it to Float.",
            )
        yield attribute.name, attribute.data_type


def _read(data: Any, name: str, kind: str) -> NDArray:
    key, dtype, width = KINDS[kind]
    values = np.empty(count_of(data) * width, dtype)
    if len(values):
        data.attributes[name].data.foreach_get(key, values)
    return values


def _picked(values: NDArray, width: int, rows: NDArray[np.intp] | None) -> NDArray:
    if rows is None:
        return values
    return values[rows] if width == 1 else values.reshape(-1, width)[rows].ravel()
