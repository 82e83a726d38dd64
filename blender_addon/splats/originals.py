"""Log-scales, logits and quaternions of the file, stored next to the values that Blender draws.

Blender's Gaussians have linear sizes, opacities from 0 to 1 and rotations of unit length. Converting those back is
inexact in float32, so the file's values are stored in separate attributes. If Blender's value still equals the
converted file value, the file value is returned. If it was edited, Blender's value is converted back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.splats import Floats, Splats

from .columns import read, write

SCALES = "splatlift_scale"
QUATS = "splatlift_rotation"
OPACITY = "splatlift_opacity"
KINDS = {SCALES: "FLOAT_VECTOR", QUATS: "FLOAT4", OPACITY: "FLOAT"}

_LARGEST_LOGIT = 16.0
"""From this logit on float32 cannot distinguish an opacity from 1."""
_ULP = float(np.finfo(np.float32).eps)
"""Relative tolerance; another processor may round the same logarithm to the adjacent float32."""


def sizes_of(scales: Floats) -> Floats:
    """Return the standard deviations of log-scales, any shape; rounded from float64, so equal on all machines."""
    with np.errstate(over="ignore"):
        return np.exp(scales.astype(np.float64)).astype(np.float32)


def alphas_of(opacities: Floats) -> Floats:
    """Return the opacities, 0 to 1, of logits of any shape."""
    with np.errstate(over="ignore"):  # exp of a very negative logit is inf, and 1 / inf is the correct 0
        return (1 / (1 + np.exp(-opacities.astype(np.float64)))).astype(np.float32)


def units_of(quats: Floats) -> Floats:
    """Return quaternions (N, 4) normalised; the identity for those of length 0."""
    lengths = np.linalg.norm(quats.astype(np.float64), axis=1, keepdims=True)
    return np.where(lengths > 0, quats / np.maximum(lengths, 1e-300), [1, 0, 0, 0]).astype(np.float32)


def write_originals(attributes: Any, splats: Splats) -> None:
    """Fill the existing attributes :data:`KINDS`."""
    write(attributes, SCALES, splats.scales)
    write(attributes, QUATS, splats.quats)
    write(attributes, OPACITY, splats.opacities)


def scales_from(attributes: Any, sizes: Floats) -> Floats:
    """Return the log-scales (N, 3) of Blender's sizes."""
    with np.errstate(divide="ignore"):
        derived = np.maximum(np.log(sizes), np.float32(np.log(np.finfo(np.float32).tiny)))
    kept = _kept(attributes, SCALES, len(sizes))
    return derived if kept is None else np.where(_same(sizes_of(kept), sizes), kept, derived)


def opacities_from(attributes: Any, alphas: Floats) -> Floats:
    """Return the logits (N,) of Blender's opacities."""
    exact = alphas.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        logits = np.log(exact) - np.log1p(-exact)
    derived = np.clip(logits, -_LARGEST_LOGIT, _LARGEST_LOGIT).astype(np.float32)
    kept = _kept(attributes, OPACITY, len(alphas))
    return derived if kept is None else np.where(_same(alphas_of(kept), alphas), kept, derived)


def quats_from(attributes: Any, rotations: Floats) -> Floats:
    """Return the quaternions (N, 4) of Blender's rotations."""
    kept = _kept(attributes, QUATS, len(rotations))
    if kept is None:
        return rotations
    # Blender's Join writes zeros for Gaussians that did not have these attributes.
    same = kept.any(1) & (np.abs(units_of(kept) - rotations) <= _ULP).all(1)
    return np.where(same[:, None], kept, rotations)


def _kept(attributes: Any, name: str, n: int) -> NDArray[np.float32] | None:
    attribute = attributes.get(name)
    # An attribute with another type or domain is not ours.
    if attribute is None or attribute.data_type != KINDS[name] or attribute.domain != "POINT":
        return None
    return read(attributes, name, KINDS[name], n)


def _same(derived: Floats, present: Floats) -> NDArray[np.bool_]:
    return np.isclose(derived, present, rtol=_ULP, atol=0)
