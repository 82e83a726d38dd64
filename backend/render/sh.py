"""Colour from spherical harmonics, in the basis of the INRIA PLY layout."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from backend.render.sh_linear import COUNT, LinearColours
from backend.scene.types import Camera
from protocol.sh import SH0

# Real spherical harmonics with the Condon-Shortley phase; Sloan, Efficient Spherical Harmonic Evaluation (JCGT 2013).
C1 = 0.4886025119029199
C2 = (1.0925484305920792, 0.31539156525252005, 0.5462742152960396)
C3 = (0.5900435899266435, 2.890611442640554, 0.4570457994644658, 0.3731763325901154, 1.445305721320277)


def sh_colours(sh: Tensor, means: Tensor, camera: Camera) -> Tensor:
    """Return the colour of each Gaussian for this camera: max(0, sum of sh_k Y_k(direction) + 0.5).

    Args:
        sh: (N, K, 3) coefficients with K = 1, 4, 9 or 16, as in Splats.
        means: (N, 3); directions are from the camera to them, in world axes. Differentiable in both.

    Returns:
        (N, 3), at least 0; not clamped above.
    """
    if sh.shape[1] == COUNT and sh.device.type == "cpu" and sh.dtype == means.dtype == torch.float32:
        centre = torch.from_numpy(np.array(camera.centre, np.float32))
        return LinearColours.apply(sh, means, centre)  # type: ignore[no-any-return]
    return torch.clamp_min(blend_sh(sh, means, camera) + 0.5, 0)


def blend_sh(sh: Tensor, means: Tensor, camera: Camera) -> Tensor:
    """Return the sum alone: (N, 3), neither shifted nor clamped."""
    if sh.shape[1] == 1:
        return SH0 * sh[:, 0]
    # Non-blocking, because a blocking copy would wait for all queued work of the device.
    centre = torch.as_tensor(np.asarray(camera.centre), dtype=means.dtype).to(means.device, non_blocking=True)
    if sh.device.type == "cuda" and sh.dtype == means.dtype == torch.float32:
        return blend_by_gsplat(sh, means - centre)
    directions = torch.nn.functional.normalize(means - centre, dim=-1)
    return torch.einsum("nk,nkc->nc", sh_basis(directions, sh.shape[1]), sh)


def blend_by_gsplat(sh: Tensor, directions: Tensor) -> Tensor:
    """As :func:`blend_sh` with fused kernels, for directions (N, 3) of any length."""
    from gsplat.cuda._wrapper import spherical_harmonics

    return spherical_harmonics(math.isqrt(sh.shape[1]) - 1, directions, sh)


def sh_basis(directions: Tensor, count: int) -> Tensor:
    """Return (N, count) values of the first 1, 4, 9 or 16 basis functions for unit directions (N, 3)."""
    x, y, z = directions.unbind(-1)
    basis = [torch.full_like(x, SH0)]
    if count > 1:
        basis += [-C1 * y, C1 * z, -C1 * x]
    if count > 4:
        basis += [
            C2[0] * x * y,
            -C2[0] * y * z,
            C2[1] * (3 * z * z - 1),
            -C2[0] * x * z,
            C2[2] * (x * x - y * y),
        ]
    if count > 9:
        basis += [
            -C3[0] * y * (3 * x * x - y * y),
            C3[1] * x * y * z,
            -C3[2] * y * (5 * z * z - 1),
            C3[3] * z * (5 * z * z - 3),
            -C3[2] * x * (5 * z * z - 1),
            C3[4] * z * (x * x - y * y),
            -C3[0] * x * (x * x - 3 * y * y),
        ]
    return torch.stack(basis, dim=-1)
