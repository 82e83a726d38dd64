"""Columns <-> attributes on points, and what both forms of a splat in Blender share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadSplats
from protocol.sh import SH0
from protocol.splats import Floats, Splats

COLOUR = "Col"
"""Colour to look at, FLOAT_COLOR: clamp(SH0 * f_dc + 0.5) as the capture has it (sRGB), and the activated opacity."""

MAX_NAME = 63
"""Bytes of an attribute's name; Blender makes no attribute at all where a name is too long."""

WIDTHS = {"FLOAT": 1, "INT": 1, "FLOAT_VECTOR": 3, "FLOAT_COLOR": 4, "QUATERNION": 4, "FLOAT4": 4}
_KEYS = {"FLOAT_VECTOR": "vector", "FLOAT4": "vector", "FLOAT_COLOR": "color"}


def resize(data: Any, n: int) -> None:
    """Give an empty mesh or point cloud ``n`` points, none of them selected."""
    if hasattr(data, "vertices"):
        data.vertices.add(n)
        # Blender selects what it adds.
        selection = data.attributes.get(".select_vert")
        if selection is not None and n:
            selection.data.foreach_set("value", np.zeros(n, bool))
    else:
        data.resize(n)


def make(attributes: Any, kinds: dict[str, str]) -> None:
    """Make the attributes ``kinds``, name to type, on points.

    Making an attribute may move the others, so all are to be made before any is looked up.

    Raises:
        BadSplats: if Blender takes no attribute of a name.
    """
    for name, kind in kinds.items():
        if attributes.new(name, kind, "POINT") is None:
            raise BadSplats(
                f"Blender does not accept the attribute name {name!r}.", "Rename that column of the PLY file."
            )


def write(attributes: Any, name: str, values: NDArray) -> None:
    """Fill an attribute with ``values``, (N,) or (N, width): float32, or int32 where it is INT."""
    attribute = attributes[name]
    # foreach_set is some sixty times slower on anything but a contiguous array of the very type.
    kind = np.int32 if attribute.data_type == "INT" else np.float32
    attribute.data.foreach_set(_KEYS.get(attribute.data_type, "value"), np.ascontiguousarray(values, kind).ravel())


def write_positions(data: Any, means: Floats) -> None:
    """Move the points of data to ``means``, (N, 3)."""
    if len(means):  # data without a point have no positions
        write(data.attributes, "position", means)


def read_positions(data: Any) -> Floats:
    """Return where the points of data are, (N, 3)."""
    n = count_of(data)
    return read(data.attributes, "position", "FLOAT_VECTOR", n) if n else np.empty((0, 3), np.float32)


def read(attributes: Any, name: str, kind: str, n: int) -> NDArray:
    """Return the attribute ``name`` of type ``kind``: (N,) or (N, width), float32 or int32.

    Raises:
        BadSplats: if it is missing, or its type or domain is another.
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
    """Return (N, 4) float32: the colour seen without view dependence, sRGB 0 to 1, and the opacity 0 to 1."""
    colours = np.empty((len(splats), 4), np.float32)
    colours[:, :3] = np.clip(SH0 * splats.sh[:, 0] + 0.5, 0, 1)
    with np.errstate(over="ignore"):  # exp of a very transparent Gaussian is inf, and its opacity rightly 0
        colours[:, 3] = splats.alphas
    return colours


def storable(splats: Splats, reserved: Sequence[str], prefixes: tuple[str, ...]) -> dict[str, NDArray]:
    """Return the extra columns as the int32 or float32 arrays that hold the same numbers.

    Args:
        reserved: names that the splat itself needs; and every name that begins with one of ``prefixes``.

    Raises:
        BadSplats: if a column cannot be kept exactly or under its name.
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
    """Return the attribute type of each of what :func:`storable` returned."""
    return {name: "INT" if column.dtype == np.int32 else "FLOAT" for name, column in extra.items()}


def read_extra(attributes: Any, n: int, reserved: Sequence[str], prefixes: tuple[str, ...]) -> dict[str, NDArray]:
    """Return the FLOAT and INT attributes on points that are no column of the splat itself."""
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
