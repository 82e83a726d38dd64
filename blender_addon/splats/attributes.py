"""`Splats` <-> attributes on the points of a mesh or point cloud, under the column names of the 3DGS PLY.

The values are the stored ones, exact both ways: logarithmic scales, logit opacities, quaternions w, x, y, z, and the
higher spherical harmonics channel by channel. Those are the names and meanings that KIRI's 3DGS Render add-on reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadSplats
from protocol.sh import SH0
from protocol.splats import SH_COUNTS, Floats, Splats

DC = ("f_dc_0", "f_dc_1", "f_dc_2")
OPACITY = "opacity"
SCALES = ("scale_0", "scale_1", "scale_2")
QUATS = ("rot_0", "rot_1", "rot_2", "rot_3")
COLOUR = "Col"
"""Colour to look at, FLOAT_COLOR: clamp(SH0 * f_dc + 0.5) as the capture has it (sRGB), and the activated opacity."""

PADDED = "sh_padded"
"""Custom property of data whose ``f_rest_0`` to ``f_rest_8`` are zeros added on writing."""

MAX_NAME = 63
"""Bytes of an attribute's name; Blender makes no attribute at all where a name is too long."""

_RESERVED = {"position", "radius", COLOUR, *DC, OPACITY, *SCALES, *QUATS}
_FEWEST_REST = 9


def is_splats(data: Any) -> bool:
    """Whether a data-block carries the columns of a splat."""
    attributes = getattr(data, "attributes", None)
    return attributes is not None and all(name in attributes for name in (*DC, OPACITY, *SCALES, *QUATS))


def write_splats(data: Any, splats: Splats) -> None:
    """Fill an empty mesh or point cloud with Gaussians, one point each, in the frame of the capture.

    Splats of degree 0 get the nine ``f_rest`` columns of degree 1 as zeros, because KIRI's add-on refuses files
    without ``f_rest_0`` and reads whole degrees only; :func:`read_splats` takes them off again.

    Args:
        data: ``bpy.types.Mesh`` or, where Blender can resize one, ``bpy.types.PointCloud``; without any point.
        splats: extra columns must be integers that fit 32 bits (kept as INT) or floats that float32 holds exactly
            (kept as FLOAT).

    Raises:
        BadSplats: if an extra column cannot be kept exactly or under its name.
    """
    extra = {name: _storable(name, column) for name, column in splats.extra.items()}
    _resize(data, len(splats))
    kinds = dict.fromkeys(_float_names(splats), "FLOAT")
    kinds |= {name: "INT" if column.dtype == np.int32 else "FLOAT" for name, column in extra.items()}
    kinds[COLOUR] = "FLOAT_COLOR"
    # Making an attribute may move the others, so all are made before any is looked up.
    for name, kind in kinds.items():
        if data.attributes.new(name, kind, "POINT") is None:
            raise BadSplats(f"Blender takes no attribute of the name {name!r}.", "Rename that column of the PLY file.")

    if len(splats):  # data without a point have no positions
        data.attributes["position"].data.foreach_set("vector", _flat(splats.means))
    for name, column in _float_columns(splats):
        data.attributes[name].data.foreach_set("value", column)
    for name, column in extra.items():
        data.attributes[name].data.foreach_set("value", column)
    data.attributes[COLOUR].data.foreach_set("color", display_colours(splats).ravel())
    if splats.sh_degree == 0:
        data[PADDED] = True
    data.update_tag()


def read_splats(data: Any) -> Splats:
    """Return the Gaussians that a mesh or point cloud holds, exactly as :func:`write_splats` was given them.

    FLOAT and INT attributes that are no splat column come back as extra columns.

    Raises:
        BadSplats: if a splat column is missing, or its type or domain was changed.
    """
    attributes = data.attributes
    n = len(attributes["position"].data) if "position" in attributes else 0
    rest = _rest_count(attributes)
    quats, scales, dc = (_read(attributes, names, n) for names in (QUATS, SCALES, DC))
    higher = _read(attributes, [f"f_rest_{i}" for i in range(rest)], n).reshape(n, 3, rest // 3)
    sh = np.empty((n, 1 + rest // 3, 3), np.float32)
    sh[:, 0] = dc
    sh[:, 1:] = higher.transpose(0, 2, 1)
    if rest == _FEWEST_REST and data.get(PADDED) and not higher.any():
        sh = np.ascontiguousarray(sh[:, :1])
    means = np.empty((n, 3), np.float32)
    if n:
        attributes["position"].data.foreach_get("vector", means.ravel())
    opacities = _read(attributes, (OPACITY,), n)[:, 0]
    return Splats(means, quats, scales, np.ascontiguousarray(opacities), sh, _read_extra(attributes, n))


def display_colours(splats: Splats) -> Floats:
    """Return (N, 4) float32: the colour seen without view dependence, sRGB 0 to 1, and the opacity 0 to 1."""
    colours = np.empty((len(splats), 4), np.float32)
    colours[:, :3] = np.clip(SH0 * splats.sh[:, 0] + 0.5, 0, 1)
    with np.errstate(over="ignore"):  # exp of a very transparent Gaussian is inf, and its opacity rightly 0
        colours[:, 3] = splats.alphas
    return colours


def _resize(data: Any, n: int) -> None:
    if hasattr(data, "vertices"):
        data.vertices.add(n)
    else:
        data.resize(n)


def _rest_names(splats: Splats) -> list[str]:
    return [f"f_rest_{i}" for i in range(max(_FEWEST_REST, 3 * (splats.sh.shape[1] - 1)))]


def _float_names(splats: Splats) -> list[str]:
    return [*DC, *_rest_names(splats), OPACITY, *SCALES, *QUATS]


def _float_columns(splats: Splats) -> Iterator[tuple[str, Floats]]:
    """Yield each FLOAT column as a contiguous array: foreach_set is some sixty times slower on any other."""
    n, k, _ = splats.sh.shape
    coefficients = _columns(splats.sh.reshape(n, 3 * k)).reshape(k, 3, n)
    zeros = np.zeros(n, np.float32) if k == 1 else None
    yield from zip(DC, coefficients[0], strict=True)
    for i, name in enumerate(_rest_names(splats)):
        yield name, coefficients[1 + i % (k - 1), i // (k - 1)] if zeros is None else zeros
    yield OPACITY, _flat(splats.opacities)
    yield from zip(SCALES, _columns(splats.scales), strict=True)
    yield from zip(QUATS, _columns(splats.quats), strict=True)


def _columns(rows: Floats, block: int = 2048) -> Floats:
    """Transpose (N, M) to contiguous (M, N), in blocks of rows that stay in the processor's cache."""
    out = np.empty(rows.shape[::-1], np.float32)
    for start in range(0, len(rows), block):
        out[:, start : start + block] = rows[start : start + block].T
    return out


def _flat(values: NDArray) -> Floats:
    return np.ascontiguousarray(values, np.float32).ravel()


def _storable(name: str, column: NDArray) -> NDArray:
    """An extra column as the int32 or float32 array that holds the same numbers."""
    if name in _RESERVED or name.startswith((".", "f_rest_")) or len(name.encode()) > MAX_NAME:
        raise BadSplats(
            f"The extra column {name[:80]!r} of a splat has a name that Blender or the splat itself needs.",
            "Rename or drop that column of the PLY file.",
        )
    kind = np.int32 if column.dtype.kind in "iub" else np.float32
    with np.errstate(over="ignore", invalid="ignore"):
        kept = np.ascontiguousarray(column, kind)
    if not np.array_equal(kept, column, equal_nan=column.dtype.kind == "f"):
        raise BadSplats(
            f"The extra column {name!r} of a splat holds numbers that a 32-bit attribute cannot keep.",
            "Drop that column of the PLY file or store it with 32 bits.",
        )
    return kept


def _rest_count(attributes: Any) -> int:
    count = 0
    while f"f_rest_{count}" in attributes:
        count += 1
    if count // 3 + 1 not in SH_COUNTS or count % 3:
        raise BadSplats(
            f"The splat has {count} f_rest attributes; a full degree has 0, 9, 24 or 45.",
            "Import the object again, or remove all f_rest attributes.",
        )
    return count


def _read(attributes: Any, names: Any, n: int) -> Floats:
    """The FLOAT attributes ``names`` as one array (N, len(names))."""
    out = np.empty((len(names), n), np.float32)
    for row, name in zip(out, names, strict=True):
        attribute = attributes.get(name)
        if attribute is None or attribute.data_type != "FLOAT" or attribute.domain != "POINT":
            raise BadSplats(
                f"The splat has no attribute {name} of type Float on its points.", "Import the object again."
            )
        if n:
            attribute.data.foreach_get("value", row)
    return np.ascontiguousarray(out.T)


def _read_extra(attributes: Any, n: int) -> dict[str, NDArray]:
    extra = {}
    for attribute in attributes:
        name, kind = attribute.name, {"FLOAT": np.float32, "INT": np.int32}.get(attribute.data_type)
        if kind is None or attribute.domain != "POINT" or name in _RESERVED or name.startswith((".", "f_rest_")):
            continue
        extra[name] = np.empty(n, kind)
        if n:
            attribute.data.foreach_get("value", extra[name])
    return extra
