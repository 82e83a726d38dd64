"""Blender's native Gaussians (from 5.3 on): a point cloud of type GAUSSIAN_SPLAT.

Blender's attributes hold activated values: ``scale`` linear, ``rotation`` w, x, y, z of unit length, ``radiance:base``
the three base colour coefficients and the opacity from 0 to 1, and ``radiance:sh_0`` and on one RGB triple per higher
coefficient. The values of the file are stored next to them, see :mod:`.originals`, so unedited Gaussians are read back
with the same bits. Apply, Join and moves in Edit Mode change the points only; :mod:`.moved_points` corrects the
Gaussians when they are read. Support is detected by feature, not by version.
"""

from __future__ import annotations

from typing import Any, cast

import bpy
import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadSplats
from protocol.splats import SH_COUNTS, Splats

from . import originals
from .columns import (
    COLOUR,
    count_of,
    display_colours,
    kinds_of,
    make,
    read,
    read_extra,
    read_positions,
    resize,
    storable,
    write,
    write_positions,
)
from .moved_points import WRITTEN_AT, with_moves_applied

TYPE = "GAUSSIAN_SPLAT"
BASE = "radiance:base"
SCALE = "scale"
ROTATION = "rotation"
NAMES = (BASE, SCALE, ROTATION)
"""Attributes by which native Gaussians are recognised."""
RADIANCE = "radiance"
"""Attribute name in Blender's shaders: the view-dependent colour of a Gaussian, linear."""
RADIUS = "radius"
"""Point attribute, for display as points: the mean size of a Gaussian times the square root of 2."""

_HIGHER = "radiance:sh_"
_RESERVED = ("position", RADIUS, COLOUR, BASE, SCALE, ROTATION, WRITTEN_AT, *originals.KINDS)


def can_draw_splats() -> bool:
    """Whether this Blender supports native Gaussians in a point cloud that a script can fill."""
    cloud, attribute = cast(Any, bpy.types.PointCloud.bl_rna), cast(Any, bpy.types.Attribute.bl_rna)
    kinds = cloud.properties.get("type")
    return (
        kinds is not None
        and TYPE in {item.identifier for item in kinds.enum_items}
        and "resize" in cloud.functions
        and "FLOAT4" in {item.identifier for item in attribute.properties["data_type"].enum_items}
    )


def is_native(data: Any) -> bool:
    """Whether a data-block has Gaussians under Blender's native attribute names."""
    return set(data.attributes.keys()).issuperset(NAMES)


def new_native(name: str, splats: Splats) -> Any:
    """Return a new ``bpy.types.PointCloud`` that Blender draws as Gaussians, in the frame of the capture.

    Raises:
        BadSplats: if an extra column cannot be stored exactly or under its name.
    """
    extra = storable(splats, _RESERVED, (_HIGHER,))
    data: Any = bpy.data.pointclouds.new(name)
    resize(data, len(splats))
    kinds = {BASE: "FLOAT4", SCALE: "FLOAT_VECTOR", ROTATION: "QUATERNION", COLOUR: "FLOAT_COLOR", RADIUS: "FLOAT"}
    kinds |= dict.fromkeys(_higher_names(splats), "FLOAT_VECTOR") | {WRITTEN_AT: "FLOAT_VECTOR"}
    kinds |= {**originals.KINDS, **kinds_of(extra)}
    attributes = data.attributes
    make(attributes, {name: kind for name, kind in kinds.items() if name not in attributes})
    write_positions(data, splats.means)
    write(attributes, BASE, np.column_stack([splats.sh[:, 0], originals.alphas_of(splats.opacities)]))
    write(attributes, COLOUR, display_colours(splats))
    for each, column in extra.items():
        write(attributes, each, column)
    data.type = TYPE
    write_turned(data, splats)
    return data


def write_turned(data: Any, splats: Splats) -> None:
    """Write the values that a rotation or scale changes: sizes, rotations, higher coefficients, written positions."""
    attributes = data.attributes
    write(attributes, SCALE, originals.sizes_of(splats.scales))
    write(attributes, ROTATION, originals.units_of(splats.quats))
    write(attributes, RADIUS, np.sqrt(np.float32(2)) * np.exp(splats.scales.mean(1)))
    for k, each in enumerate(_higher_names(splats), 1):
        write(attributes, each, splats.sh[:, k])
    originals.write_originals(attributes, splats)
    write(attributes, WRITTEN_AT, splats.means)
    data.update_tag()


def read_native(data: Any, shape_columns: dict[str, NDArray] | None = None) -> Splats:
    """Return the Gaussians of a point cloud created by :func:`new_native` or by Blender's own importer.

    Gaussians whose points were moved are transformed too, see :func:`.moved_points.apply_moves`.

    Args:
        shape_columns: if given, the only extra columns, and of the colours only the constant term is read.

    Raises:
        BadSplats: if an attribute is missing or has another type, the coefficients do not form a whole degree, or
            points were scaled non-uniformly.
    """
    attributes, n = data.attributes, count_of(data)
    base = read(attributes, BASE, "FLOAT4", n)
    sizes = read(attributes, SCALE, "FLOAT_VECTOR", n)
    quats = read(attributes, ROTATION, "QUATERNION", n)
    higher = 0
    while shape_columns is None and f"{_HIGHER}{higher}" in attributes:
        higher += 1
    if higher + 1 not in SH_COUNTS:
        raise BadSplats(
            f"The splat has {higher} attributes {_HIGHER}; expected 0, 3, 8 or 15.",
            "Import the object again.",
        )
    sh = np.empty((n, 1 + higher, 3), np.float32)
    sh[:, 0] = base[:, :3]
    for k in range(higher):
        sh[:, 1 + k] = read(attributes, f"{_HIGHER}{k}", "FLOAT_VECTOR", n)
    scales = originals.scales_from(attributes, sizes)
    quats = originals.quats_from(attributes, quats)
    opacities = originals.opacities_from(attributes, base[:, 3])
    extra = read_extra(attributes, n, _RESERVED, (_HIGHER,)) if shape_columns is None else shape_columns
    return with_moves_applied(data, Splats(read_positions(data), quats, scales, opacities, sh, extra))


def _higher_names(splats: Splats) -> list[str]:
    return [f"{_HIGHER}{k}" for k in range(splats.sh.shape[1] - 1)]
