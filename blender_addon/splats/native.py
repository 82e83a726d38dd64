"""Gaussians as Blender itself draws them, where it does (5.3 on): a point cloud of type GAUSSIAN_SPLAT.

Blender's attributes hold activated values: ``scale`` linear, ``rotation`` w, x, y, z of unit length, ``radiance:base``
the three constant coefficients and the opacity from 0 to 1, and ``radiance:sh_0`` and on one RGB triple per higher
coefficient. So what comes back has the precision of float32, not the bits of the file, and quaternions of length 1.
Whether Blender can is asked of Blender, never of its version.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from protocol.errors import BadSplats
from protocol.splats import SH_COUNTS, Floats, Splats

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

TYPE = "GAUSSIAN_SPLAT"
BASE = "radiance:base"
SCALE = "scale"
ROTATION = "rotation"
RADIUS = "radius"
"""Of the points that are seen where Blender does not draw Gaussians: the mean of a Gaussian's size, times root two."""

_HIGHER = "radiance:sh_"
_RESERVED = ("position", RADIUS, COLOUR, BASE, SCALE, ROTATION)
_LARGEST_LOGIT = 16.0
"""From here on float32 cannot tell an opacity from 1."""


def can_draw_splats() -> bool:
    """Whether this Blender draws Gaussians by itself, from a point cloud that a script can fill."""
    kinds = bpy.types.PointCloud.bl_rna.properties.get("type")
    return (
        kinds is not None
        and TYPE in {item.identifier for item in kinds.enum_items}
        and "resize" in bpy.types.PointCloud.bl_rna.functions
        and "FLOAT4" in {item.identifier for item in bpy.types.Attribute.bl_rna.properties["data_type"].enum_items}
    )


def is_native(data: Any) -> bool:
    """Whether a data-block carries Gaussians under Blender's own attribute names."""
    return all(name in data.attributes for name in (BASE, SCALE, ROTATION))


def new_native(name: str, splats: Splats) -> Any:
    """Return a new ``bpy.types.PointCloud`` that Blender draws as Gaussians, in the frame of the capture.

    Raises:
        BadSplats: if an extra column cannot be kept exactly or under its name.
    """
    extra = storable(splats, _RESERVED, (_HIGHER,))
    data: Any = bpy.data.pointclouds.new(name)
    resize(data, len(splats))
    higher = [f"{_HIGHER}{k}" for k in range(splats.sh.shape[1] - 1)]
    kinds = {BASE: "FLOAT4", SCALE: "FLOAT_VECTOR", ROTATION: "QUATERNION", COLOUR: "FLOAT_COLOR", RADIUS: "FLOAT"}
    kinds |= {**dict.fromkeys(higher, "FLOAT_VECTOR"), **kinds_of(extra)}
    attributes = data.attributes
    make(attributes, {name: kind for name, kind in kinds.items() if name not in attributes})
    write_positions(data, splats.means)
    write(attributes, SCALE, splats.sizes)
    write(attributes, ROTATION, _unit(splats.quats))
    write(attributes, BASE, np.column_stack([splats.sh[:, 0], splats.alphas]))
    write(attributes, COLOUR, display_colours(splats))
    write(attributes, RADIUS, np.sqrt(np.float32(2)) * np.exp(splats.scales.mean(1)))
    for k, each in enumerate(higher, 1):
        write(attributes, each, splats.sh[:, k])
    for each, column in extra.items():
        write(attributes, each, column)
    data.type = TYPE
    data.update_tag()
    return data


def read_native(data: Any) -> Splats:
    """Return the Gaussians of a point cloud that :func:`new_native` or Blender's own importer made.

    Raises:
        BadSplats: if an attribute is missing or of another type, or the coefficients make no full degree.
    """
    attributes, n = data.attributes, count_of(data)
    base = read(attributes, BASE, "FLOAT4", n)
    sizes = read(attributes, SCALE, "FLOAT_VECTOR", n)
    quats = read(attributes, ROTATION, "QUATERNION", n)
    higher = 0
    while f"{_HIGHER}{higher}" in attributes:
        higher += 1
    if higher + 1 not in SH_COUNTS:
        raise BadSplats(
            f"The splat has {higher} attributes {_HIGHER}; a full degree of up to 3 has 0, 3, 8 or 15.",
            "Import the object again.",
        )
    sh = np.empty((n, 1 + higher, 3), np.float32)
    sh[:, 0] = base[:, :3]
    for k in range(higher):
        sh[:, 1 + k] = read(attributes, f"{_HIGHER}{k}", "FLOAT_VECTOR", n)
    with np.errstate(divide="ignore"):
        scales = np.maximum(np.log(sizes), np.float32(np.log(np.finfo(np.float32).tiny)))
    extra = read_extra(attributes, n, _RESERVED, (_HIGHER,))
    return Splats(read_positions(data), quats, scales, _logit(base[:, 3]), sh, extra)


def _unit(quats: Floats) -> Floats:
    lengths = np.linalg.norm(quats.astype(np.float64), axis=1, keepdims=True)
    return np.where(lengths > 0, quats / np.maximum(lengths, 1e-300), [1, 0, 0, 0]).astype(np.float32)


def _logit(alphas: Floats) -> Floats:
    exact = alphas.astype(np.float64)
    with np.errstate(divide="ignore"):
        logits = np.log(exact) - np.log1p(-exact)
    return np.clip(logits, -_LARGEST_LOGIT, _LARGEST_LOGIT).astype(np.float32)
