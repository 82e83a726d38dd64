"""Log-scales, logits and quaternions of the file, kept beside the values that Blender draws.

Blender's Gaussians have linear sizes, opacities from 0 to 1 and rotations of unit length. Converting those back is
inexact in float32, so the stored values are kept in attributes of their own. Where Blender's value still equals the
converted stored value, the stored value is returned. Where it was edited, Blender's value is converted back.
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
"""From here on float32 cannot tell an opacity from 1."""
_ULP = float(np.finfo(np.float32).eps)
"""Relative; another processor may round the same logarithm to the next float32."""


def sizes_of(scales: Floats) -> Floats:
    """Return the standard deviations of log-scales, any shape; in float64 and then rounded, alike on all machines."""
    with np.errstate(over="ignore"):
        return np.exp(scales.astype(np.float64)).astype(np.float32)


def alphas_of(opacities: Floats) -> Floats:
    """Return the opacities, 0 to 1, of logits of any shape."""
    with np.errstate(over="ignore"):  # exp of a very transparent Gaussian is inf, and its opacity rightly 0
        return (1 / (1 + np.exp(-opacities.astype(np.float64)))).astype(np.float32)


def units_of(quats: Floats) -> Floats:
    """Return quaternions (N, 4) at unit length; no rotation for those of length 0."""
    lengths = np.linalg.norm(quats.astype(np.float64), axis=1, keepdims=True)
    return np.where(lengths > 0, quats / np.maximum(lengths, 1e-300), [1, 0, 0, 0]).astype(np.float32)


def write_originals(attributes: Any, splats: Splats) -> None:
    """Fill the attributes :data:`KINDS`, which are there."""
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
    # Zeros are what Blender's Join gives Gaussians that came without these attributes.
    same = kept.any(1) & (np.abs(units_of(kept) - rotations) <= _ULP).all(1)
    return np.where(same[:, None], kept, rotations)


def _kept(attributes: Any, name: str, n: int) -> NDArray[np.float32] | None:
    attribute = attributes.get(name)
    # An attribute whose type or domain was changed is not ours any more.
    if attribute is None or attribute.data_type != KINDS[name] or attribute.domain != "POINT":
        return None
    return read(attributes, name, KINDS[name], n)


def _same(derived: Floats, present: Floats) -> NDArray[np.bool_]:
    return np.isclose(derived, present, rtol=_ULP, atol=0)
