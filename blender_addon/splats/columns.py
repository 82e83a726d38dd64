"""Conversion between columns and point attributes, shared by both forms of a splat in Blender."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadSplats
from protocol.sh import SH0
from protocol.splats import Floats, Splats

COLOUR = "Col"
"""Display colour, FLOAT_COLOR: clamp(SH0 * f_dc + 0.5) in sRGB as captured, and the opacity."""

MAX_NAME = 63
"""Most bytes of an attribute's name; Blender silently creates no attribute if a name is longer."""

WIDTHS = {"FLOAT": 1, "INT": 1, "FLOAT_VECTOR": 3, "FLOAT_COLOR": 4, "QUATERNION": 4, "FLOAT4": 4}
_KEYS = {"FLOAT_VECTOR": "vector", "FLOAT4": "vector", "FLOAT_COLOR": "color"}


def resize(data: Any, n: int) -> None:
    """Give an empty mesh or point cloud ``n`` points, none of them selected."""
    if hasattr(data, "vertices"):
        data.vertices.add(n)
        # Blender selects new points.
        selection = data.attributes.get(".select_vert")
        if selection is not None and n:
            selection.data.foreach_set("value", np.zeros(n, bool))
    else:
        data.resize(n)


def make(attributes: Any, kinds: dict[str, str]) -> None:
    """Create the attributes ``kinds``, name to type, on points.

    Creating an attribute may move the others in memory, so create all of them before accessing any.

    Raises:
        BadSplats: if Blender does not create an attribute.
    """
    for name, kind in kinds.items():
        if attributes.new(name, kind, "POINT") is None:
            raise BadSplats(
                f"Blender does not accept the attribute name {name!r}.", "Rename that column of the PLY file."
            )


def write(attributes: Any, name: str, values: NDArray) -> None:
    """Fill an attribute with ``values``, (N,) or (N, width): float32, or int32 where it is INT."""
    attribute = attributes[name]
    # foreach_set is about sixty times slower unless the array is contiguous and of exactly this type.
    kind = np.int32 if attribute.data_type == "INT" else np.float32
    attribute.data.foreach_set(_KEYS.get(attribute.data_type, "value"), np.ascontiguousarray(values, kind).ravel())


def write_positions(data: Any, means: Floats) -> None:
    """Set the positions of points to ``means``, (N, 3)."""
    if len(means):  # data without points have no position attribute
        write(data.attributes, "position", means)


def read_positions(data: Any) -> Floats:
    """Return the positions of points, (N, 3)."""
    n = count_of(data)
    return read(data.attributes, "position", "FLOAT_VECTOR", n) if n else np.empty((0, 3), np.float32)


def read(attributes: Any, name: str, kind: str, n: int) -> NDArray:
    """Return the attribute ``name`` of type ``kind``: (N,) or (N, width), float32 or int32.

    Raises:
        BadSplats: if it is missing, or has another type or domain.
    """
    width = WIDTHS[kind]
    out = np.empty(n if width == 1 else (n, width), np.int32 if kind == "INT" else np.float32)
    read_into(attributes, name, kind, out)
    return out


def read_into(attributes: Any, name: str, kind: str, out: NDArray) -> None:
    """As :func:`read`, into a contiguous array of that type."""
    attribute = attributes.get(name)
    if attribute is None or attribute.data_type != kind or attribute.domain != "POINT":
        raise BadSplats(
            f"The splat has no attribute {name} of type {kind.replace('_', ' ').title()} on its points.",
            "Import the object again.",
        )
    if out.size:
        attribute.data.foreach_get(_KEYS.get(kind, "value"), out.ravel())


def display_colours(splats: Splats) -> Floats:
    """Return (N, 4) float32: the view-independent colour, sRGB 0 to 1, and the opacity 0 to 1."""
    colours = np.empty((len(splats), 4), np.float32)
    colours[:, :3] = np.clip(SH0 * splats.sh[:, 0] + 0.5, 0, 1)
    with np.errstate(over="ignore"):  # exp of a very negative logit is inf, and 1 / inf is the correct 0
        colours[:, 3] = splats.alphas
    return colours


def storable(splats: Splats, reserved: Sequence[str], prefixes: tuple[str, ...]) -> dict[str, NDArray]:
    """Return the extra columns as int32 or float32 arrays with the same values.

    Args:
        reserved: names that the splat itself uses, as are all names that begin with one of ``prefixes``.

    Raises:
        BadSplats: if a column cannot be stored exactly or under its name.
    """
    kept = {}
    for name, column in splats.extra.items():
        if name in reserved or name.startswith((".", *prefixes)) or len(name.encode()) > MAX_NAME:
            raise BadSplats(
                f"The extra column {name[:80]!r} of a splat has a reserved name.",
                "Rename or drop that column of the PLY file.",
            )
        kept[name] = _exactly(name, column)
    return kept


def kinds_of(extra: dict[str, NDArray]) -> dict[str, str]:
    """Return the attribute type of each column from :func:`storable`."""
    return {name: "INT" if column.dtype == np.int32 else "FLOAT" for name, column in extra.items()}


def read_extra(attributes: Any, n: int, reserved: Sequence[str], prefixes: tuple[str, ...]) -> dict[str, NDArray]:
    """Return the FLOAT and INT point attributes that are not columns of the splat itself."""
    return {
        each.name: read(attributes, each.name, each.data_type, n)
        for each in attributes
        if each.data_type in ("FLOAT", "INT")
        and each.domain == "POINT"
        and each.name not in reserved
        and not each.name.startswith((".", *prefixes))
    }


def count_of(data: Any) -> int:
    """Return how many points a mesh or point cloud has."""
    return len(data.attributes["position"].data) if "position" in data.attributes else 0


def _exactly(name: str, column: NDArray) -> NDArray:
    kind = np.int32 if column.dtype.kind in "iub" else np.float32
    with np.errstate(over="ignore", invalid="ignore"):
        kept = np.ascontiguousarray(column, kind)
    if not np.array_equal(kept, column, equal_nan=column.dtype.kind == "f"):
        raise BadSplats(
            f"The extra column {name!r} of a splat has values that do not fit in a 32-bit attribute.",
            "Drop that column of the PLY file or store it with 32 bits.",
        )
    return kept
