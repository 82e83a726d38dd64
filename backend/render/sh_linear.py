"""Colour from spherical harmonics of degree 1 on the CPU, with one pass over the Gaussians each way.

The results equal those of :mod:`backend.render.sh` in torch, which needs a dozen passes.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from backend.compiled import inlined, kernel
from backend.render.project import FAST, HALF, LEAST, ONE, TINY, F
from backend.threads import spread
from protocol.sh import SH0

COUNT = 4
"""Coefficients of degrees 0 and 1."""

CONSTANT = F(SH0)
LINEAR = F(0.4886025119029199)


class LinearColours(torch.autograd.Function):
    """(N, 3) colours from sh (N, 4, 3), means (N, 3) and the camera's centre (3,): all float32, on the CPU."""

    @staticmethod
    def forward(ctx: Any, sh: Tensor, means: Tensor, centre: Tensor) -> Tensor:
        colours = torch.empty(len(sh), 3)
        columns = (tensor.detach().contiguous().numpy() for tensor in (sh, means, centre, colours))
        spread(_colours, len(sh), *columns, least=LEAST)
        ctx.save_for_backward(sh, means, centre, colours)
        return colours

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        sh, means, centre, colours = (tensor.detach().contiguous() for tensor in ctx.saved_tensors)
        d_sh, d_means = torch.empty_like(sh), torch.empty_like(means)
        tensors = (sh, means, centre, colours, grads[0].contiguous(), d_sh, d_means)
        spread(_colours_backward, len(sh), *(tensor.numpy() for tensor in tensors), least=LEAST)
        return d_sh, d_means, None


@inlined(fastmath=FAST)
def _direction(means, centre, i):
    """Return the unit vector from the camera to the centre of row i, and 1 / their distance."""
    x, y, z = means[i, 0] - centre[0], means[i, 1] - centre[1], means[i, 2] - centre[2]
    near = ONE / max(math.sqrt(x * x + y * y + z * z), TINY)
    return x * near, y * near, z * near, near


@kernel(fastmath=FAST)
def _colours(begin, end, sh, means, centre, colours):
    for i in range(begin, end):
        x, y, z, _ = _direction(means, centre, i)
        for c in range(3):
            slope = z * sh[i, 2, c] - y * sh[i, 1, c] - x * sh[i, 3, c]
            colours[i, c] = max(CONSTANT * sh[i, 0, c] + LINEAR * slope + HALF, F(0))


@kernel(fastmath=FAST)
def _colours_backward(begin, end, sh, means, centre, colours, d_colours, d_sh, d_means):
    for i in range(begin, end):
        x, y, z, near = _direction(means, centre, i)
        gx, gy, gz = F(0), F(0), F(0)
        for c in range(3):
            g = d_colours[i, c] if colours[i, c] > F(0) else F(0)
            d_sh[i, 0, c] = CONSTANT * g
            d_sh[i, 1, c] = -LINEAR * y * g
            d_sh[i, 2, c] = LINEAR * z * g
            d_sh[i, 3, c] = -LINEAR * x * g
            gx -= LINEAR * sh[i, 3, c] * g
            gy -= LINEAR * sh[i, 1, c] * g
            gz += LINEAR * sh[i, 2, c] * g
        along = gx * x + gy * y + gz * z
        d_means[i, 0] = (gx - along * x) * near
        d_means[i, 1] = (gy - along * y) * near
        d_means[i, 2] = (gz - along * z) * near
