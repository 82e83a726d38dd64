"""Copies point attributes between data-blocks.

Attributes are matched by name and type, so everything that an import or a user added is kept. Blender's internal
attributes, such as the selection, are not copied: in a new data-block nothing is selected. Attributes are copied one at
a time through a reused buffer, because touching new memory takes longer than copying.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadSplats
from protocol.result.names import LABEL, PART

from ..splats.attributes import PADDED
from ..splats.columns import count_of, resize


class Kind(NamedTuple):
    """How values of an attribute type are accessed: their key in ``foreach_get``, dtype and count per point."""

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


class Source(NamedTuple):
    """Points of a data-block outside Edit Mode: those of ``rows``, (N,) bool, or all of them."""

    data: Any
    rows: NDArray[np.bool_] | None = None


def gather(like: Any, sources: Sequence[Source]) -> Any:
    """Return a new data-block with the points of all ``sources``, concatenated.

    Materials and properties are those of ``like``. Missing values become 0.

    Raises:
        BadSplats: if attributes of one name have different types, or one has an unsupported type.
    """
    kinds = _common_kinds(sources)
    # Indices, because indexing with them is ten times faster than with a mask.
    chosen = [None if source.rows is None else np.flatnonzero(source.rows) for source in sources]
    counts = [
        count_of(source.data) if rows is None else len(rows) for source, rows in zip(sources, chosen, strict=True)
    ]
    new = _new_data(like, kinds, sum(counts))
    for kind in dict.fromkeys(kinds.values()):
        of = KINDS[kind]
        buffer = np.empty((sum(counts), of.width), of.dtype)
        whole = np.empty((max((count_of(source.data) for source in sources), default=0), of.width), of.dtype)
        for name in [each for each in kinds if kinds[each] == kind and sum(counts)]:
            start = 0
            for source, rows, count in zip(sources, chosen, counts, strict=True):
                _fill(buffer[start : start + count], source.data, name, rows, whole, of.key)
                start += count
            new.attributes[name].data.foreach_set(of.key, buffer.ravel())
    _keep_properties(new, like, sources)
    new.update_tag()
    return new


def divide(data: Any, rows: NDArray[np.bool_]) -> tuple[Any, Any]:
    """Return two new data-blocks: the points of ``rows``, (N,) bool, and the others.

    Equivalent to two calls of :func:`gather`, but reads each attribute once.

    Raises:
        BadSplats: if an attribute has an unsupported type.
    """
    kinds = dict(_kinds(data))
    both = np.flatnonzero(rows), np.flatnonzero(~rows)
    inside, outside = (_new_data(data, kinds, len(chosen)) for chosen in both)
    for kind in dict.fromkeys(kinds.values()):
        key, dtype, width = KINDS[kind]
        whole = np.empty((len(rows), width), dtype)
        buffer = np.empty((max(map(len, both)), width), dtype)
        for name in [each for each in kinds if kinds[each] == kind and len(rows)]:
            data.attributes[name].data.foreach_get(key, whole.ravel())
            for new, chosen in zip((inside, outside), both, strict=True):
                if len(chosen):
                    np.take(whole, chosen, axis=0, out=buffer[: len(chosen)], mode="clip")
                    new.attributes[name].data.foreach_set(key, buffer[: len(chosen)].ravel())
    for new in (inside, outside):
        _keep_properties(new, data, [Source(data)])
        new.update_tag()
    return inside, outside


def _new_data(like: Any, kinds: dict[str, str], count: int) -> Any:
    """Return a copy of a data-block with ``count`` points and empty attributes ``kinds``."""
    new = empty_copy(like)
    resize(new, count)
    for name, kind in kinds.items():
        if name not in new.attributes and name != "position":  # data without points have no position attribute
            new.attributes.new(name, kind, "POINT")
    return new


def empty_copy(data: Any) -> Any:
    """Return a copy of a data-block without its points; materials and properties are kept."""
    copy = data.copy()
    if hasattr(copy, "clear_geometry"):
        copy.clear_geometry()
    else:
        copy.resize(0)
    return copy


def read_column(data: Any, name: str) -> NDArray:
    """Return one attribute as (N,), or (N, width) if a point has several numbers.

    Raises:
        BadSplats: if there is no attribute of that name.
    """
    kind = dict(_kinds(data)).get(name)
    if kind is None:
        raise BadSplats(f"The splat {data.name!r} has no attribute {name}.", "Import the object again.")
    key, dtype, width = KINDS[kind]
    values = np.empty((count_of(data), width), dtype)
    if len(values):
        data.attributes[name].data.foreach_get(key, values.ravel())
    return values[:, 0] if width == 1 else values


def relabel(data: Any, label: int, part: int | None = None) -> None:
    """Set the label of every point, and its part, if points have them.

    Args:
        part: None if the object has no inner parts; points that come from another object are then in no part.
    """
    count = count_of(data)
    if not count:
        return
    columns = {name: read_column(data, name) for name in (LABEL, PART) if name in data.attributes}
    if PART in columns:
        kept = np.where(columns[LABEL] == label, columns[PART], 0) if part is None and LABEL in columns else part or 0
        data.attributes[PART].data.foreach_set("value", np.full(count, kept, np.int32))
    if LABEL in columns:
        data.attributes[LABEL].data.foreach_set("value", np.full(count, label, np.int32))


def _kinds(data: Any) -> Iterator[tuple[str, str]]:
    for attribute in data.attributes:
        if attribute.domain != "POINT" or attribute.name.startswith("."):
            continue
        if attribute.data_type not in KINDS:
            raise BadSplats(
                f"{data.name!r} cannot be edited: its attribute {attribute.name!r} has the type {attribute.data_type}.",
                "Remove the attribute, or convert it to Float.",
            )
        yield attribute.name, attribute.data_type


def _common_kinds(sources: Sequence[Source]) -> dict[str, str]:
    kinds: dict[str, str] = {}
    for source in sources:
        for name, kind in _kinds(source.data):
            if kinds.setdefault(name, kind) != kind:
                raise BadSplats(f"The attribute {name} is {kinds[name]} in one object and {kind} in another.")
    return kinds


def _fill(target: NDArray, data: Any, name: str, rows: NDArray[np.intp] | None, whole: NDArray, key: str) -> None:
    """Fill ``target`` with the values of some rows of an attribute; ``whole`` is a buffer for all of them."""
    attribute = data.attributes.get(name)
    if len(target) == 0:
        return
    if attribute is None:
        target[:] = 0
    elif rows is None:
        attribute.data.foreach_get(key, target.ravel())
    else:
        values = whole[: count_of(data)]
        attribute.data.foreach_get(key, values.ravel())
        np.take(values, rows, axis=0, out=target, mode="clip")


def _keep_properties(new: Any, like: Any, sources: Sequence[Source]) -> None:
    """Copy the marker of padded coefficients and the choice of the displayed colours."""
    if all(source.data.get(PADDED) for source in sources):
        new[PADDED] = True
    elif PADDED in new:
        del new[PADDED]
    # From 5.3 on point clouds have colour attributes too, but no active one.
    active = getattr(getattr(like, "color_attributes", None), "active_color_name", None)
    if active is not None and active in new.attributes:
        new.color_attributes.active_color_name = active
