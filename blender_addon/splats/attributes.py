"""`Splats` <-> attributes on the points of a mesh or point cloud, under the column names of the 3DGS PLY.

Values are those of the file, exact in both directions: log-scales, logit opacities, quaternions w, x, y, z, and the
higher spherical harmonics channel by channel. KIRI's 3DGS Render add-on reads the same names. Blender's native
Gaussians use other names, see :mod:`.native`; reading supports both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from protocol.errors import BadSplats
from protocol.result.names import LABEL
from protocol.splats import SH_COUNTS, Floats, Splats

from . import native
from .columns import (
    COLOUR,
    count_of,
    display_colours,
    kinds_of,
    make,
    read,
    read_extra,
    read_into,
    read_positions,
    resize,
    storable,
    write,
    write_positions,
)
from .moved_points import WRITTEN_AT, has_moved, with_moves_applied

DC = ("f_dc_0", "f_dc_1", "f_dc_2")
OPACITY = "opacity"
SCALES = ("scale_0", "scale_1", "scale_2")
QUATS = ("rot_0", "rot_1", "rot_2", "rot_3")

PADDED = "sh_padded"
"""Custom property of data whose ``f_rest_0`` to ``f_rest_8`` are zeros that were added on writing."""

_RESERVED = ("position", "radius", WRITTEN_AT, COLOUR, *DC, OPACITY, *SCALES, *QUATS)
_REST = ("f_rest_",)
_FEWEST_REST = 9


def is_splats(data: Any) -> bool:
    """Whether a data-block has the columns of a splat, in either form."""
    attributes = getattr(data, "attributes", None)
    if attributes is None:
        return False
    # All names at once, because each look-up iterates over all attributes.
    names = set(attributes.keys())
    return names.issuperset(native.NAMES) or names.issuperset((*DC, OPACITY, *SCALES, *QUATS))


def write_splats(data: Any, splats: Splats) -> None:
    """Fill an empty mesh or point cloud with Gaussians, one point each, in the frame of the capture.

    Splats of degree 0 get the nine ``f_rest`` columns of degree 1 as zeros, because KIRI's add-on requires ``f_rest_0``
    and reads only whole degrees; :func:`read_splats` removes them again.

    Args:
        data: ``bpy.types.Mesh`` or, if Blender can resize one, ``bpy.types.PointCloud``; without points.
        splats: extra columns must be integers that fit 32 bits (stored as INT) or floats that float32 represents
            exactly (stored as FLOAT).

    Raises:
        BadSplats: if an extra column cannot be stored exactly or under its name.
    """
    extra = storable(splats, _RESERVED, _REST)
    resize(data, len(splats))
    attributes = data.attributes
    kinds = {**dict.fromkeys(_float_names(splats), "FLOAT"), **kinds_of(extra)}
    make(attributes, {**kinds, COLOUR: "FLOAT_COLOR", WRITTEN_AT: "FLOAT_VECTOR"})
    write_positions(data, splats.means)
    write(attributes, WRITTEN_AT, splats.means)
    for name, column in _float_columns(splats):
        write(attributes, name, column)
    for name, column in extra.items():
        write(attributes, name, column)
    write(attributes, COLOUR, display_colours(splats))
    if splats.sh_degree == 0:
        data[PADDED] = True
    data.update_tag()


def read_splats(data: Any) -> Splats:
    """Return the Gaussians of a mesh or point cloud, exactly as passed to :func:`write_splats`.

    Gaussians whose points were moved are transformed too, see :func:`.moved_points.apply_moves`. FLOAT and INT
    attributes that are not splat columns are returned as extra columns.

    Raises:
        BadSplats: if a splat column is missing, or has another type or domain; if points were scaled non-uniformly.
    """
    if native.is_native(data):
        return native.read_native(data)
    attributes = data.attributes
    n = count_of(data)
    rest = _rest_count(attributes)
    quats, scales, dc = (_read(attributes, names, n) for names in (QUATS, SCALES, DC))
    higher = _read(attributes, [f"f_rest_{i}" for i in range(rest)], n).reshape(n, 3, rest // 3)
    sh = np.empty((n, 1 + rest // 3, 3), np.float32)
    sh[:, 0] = dc
    sh[:, 1:] = higher.transpose(0, 2, 1)
    if rest == _FEWEST_REST and data.get(PADDED) and not higher.any():
        sh = np.ascontiguousarray(sh[:, :1])
    opacities = np.ascontiguousarray(_read(attributes, (OPACITY,), n)[:, 0])
    extra = read_extra(attributes, n, _RESERVED, _REST)
    return with_moves_applied(data, Splats(read_positions(data), quats, scales, opacities, sh, extra))


def read_shapes(data: Any) -> Splats:
    """As :func:`read_splats`, but with the constant term of the colours only, and no extra column but the label."""
    attributes = data.attributes
    label = attributes.get(LABEL)
    is_labelled = label is not None and label.data_type == "INT" and label.domain == "POINT"
    labels = {LABEL: read(attributes, LABEL, "INT", count_of(data))} if is_labelled else {}
    if native.is_native(data):
        return native.read_native(data, labels)
    n = count_of(data)
    quats, scales, dc = (_read(attributes, names, n) for names in (QUATS, SCALES, DC))
    opacities = np.ascontiguousarray(_read(attributes, (OPACITY,), n)[:, 0])
    return with_moves_applied(data, Splats(read_positions(data), quats, scales, opacities, dc[:, None], labels))


def catch_up(data: Any) -> None:
    """Apply the moves of points to their Gaussians, and store the new positions.

    Raises:
        BadSplats: as :func:`read_splats`; then nothing is changed.
    """
    if not count_of(data) or not has_moved(data):
        return
    splats = read_splats(data)
    if native.is_native(data):
        native.write_turned(data, splats)
        return
    for name, column in _float_columns(splats):
        write(data.attributes, name, column)
    write(data.attributes, WRITTEN_AT, splats.means)
    data.update_tag()


def _rest_names(splats: Splats) -> list[str]:
    return [f"f_rest_{i}" for i in range(max(_FEWEST_REST, 3 * (splats.sh.shape[1] - 1)))]


def _float_names(splats: Splats) -> list[str]:
    return [*DC, *_rest_names(splats), OPACITY, *SCALES, *QUATS]


def _float_columns(splats: Splats) -> Iterator[tuple[str, Floats]]:
    """Yield each FLOAT column as a contiguous array."""
    n, k, _ = splats.sh.shape
    coefficients = _columns(splats.sh.reshape(n, 3 * k)).reshape(k, 3, n)
    zeros = np.zeros(n, np.float32) if k == 1 else None
    yield from zip(DC, coefficients[0], strict=True)
    for i, name in enumerate(_rest_names(splats)):
        yield name, coefficients[1 + i % (k - 1), i // (k - 1)] if zeros is None else zeros
    yield OPACITY, splats.opacities
    yield from zip(SCALES, _columns(splats.scales), strict=True)
    yield from zip(QUATS, _columns(splats.quats), strict=True)


def _columns(rows: Floats, block: int = 2048) -> Floats:
    """Transpose (N, M) to contiguous (M, N), in blocks of rows that fit the processor's cache."""
    out = np.empty(rows.shape[::-1], np.float32)
    for start in range(0, len(rows), block):
        out[:, start : start + block] = rows[start : start + block].T
    return out


def _rest_count(attributes: Any) -> int:
    count = 0
    while f"f_rest_{count}" in attributes:
        count += 1
    if count // 3 + 1 not in SH_COUNTS or count % 3:
        raise BadSplats(
            f"The splat has {count} f_rest attributes; expected 0, 9, 24 or 45.",
            "Import the object again, or remove all f_rest attributes.",
        )
    return count


def _read(attributes: Any, names: Any, n: int) -> Floats:
    """Return the FLOAT attributes ``names`` as one array (N, len(names))."""
    out = np.empty((len(names), n), np.float32)
    for row, name in zip(out, names, strict=True):
        read_into(attributes, name, "FLOAT", row)
    return np.ascontiguousarray(out.T)
