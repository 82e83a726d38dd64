"""gsplat's kernels played by torch on the CPU, from the docstrings of gsplat 1.5.3 and its own torch functions.

What they prove is our side of the calls: shapes, chunks of channels, sums, orders.
"""

from __future__ import annotations

import gsplat.cuda._wrapper as wrapper
import numpy as np
import pytest
import torch
from gsplat.cuda._torch_impl import _fully_fused_projection, _quat_scale_to_covar_preci

from backend.render import cuda, reference
from tests.backend.render import scenes


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let :mod:`backend.render.cuda` find the stand-ins in place of the kernels, on tensors of the CPU."""
    monkeypatch.setattr(wrapper, "fully_fused_projection", _fully_fused_projection_stand_in)
    monkeypatch.setattr(wrapper, "isect_tiles", _isect_tiles_stand_in)
    monkeypatch.setattr(wrapper, "isect_offset_encode", _isect_offset_encode_stand_in)
    monkeypatch.setattr(wrapper, "rasterize_to_pixels", _rasterize_to_pixels_stand_in)
    monkeypatch.setattr(wrapper, "rasterize_to_indices_in_range", _rasterize_to_indices_stand_in)
    monkeypatch.setattr(cuda, "require", lambda: None)


def _fully_fused_projection_stand_in(
    means, covars, quats, scales, viewmats, Ks, width, height, *, eps2d, near_plane, opacities
):
    covariances, _ = _quat_scale_to_covar_preci(quats, scales, True, False)
    assert covars is None
    assert covariances is not None
    assert opacities.shape == means.shape[:1]
    radii, means2d, depths, conics, _ = _fully_fused_projection(
        means, covariances, viewmats, Ks, width, height, eps2d, near_plane
    )
    hidden = (radii == 0).any(-1) | (opacities < 1 / 255)
    # What gsplat leaves uninitialised.
    garbage = torch.full_like(means2d, torch.nan)
    return radii * ~hidden[..., None], torch.where(hidden[..., None], garbage, means2d), depths, conics, None


def _isect_tiles_stand_in(means2d, radii, depths, tile_size, across, down):
    # One list for the whole image: the Gaussians by depth. The stand-ins that read it know.
    assert means2d.shape == (*radii.shape[:1], radii.shape[1], 2)
    order = torch.argsort(depths[0], stable=True)
    members = order[(radii[0, order] > 0).all(-1)].to(torch.int32)
    return None, members.to(torch.int64), members


def _isect_offset_encode_stand_in(keys, images, across, down):
    return torch.zeros(images, down, across, dtype=torch.int32)


def dense(centres, conics, opacities, width, height, members):
    """Gaussians of the one list of an image, the dense matrix of their weights, and the light that is left."""
    ids = members.long()
    a, b, c = conics[0, ids].unbind(-1)
    matrices = torch.stack([torch.stack([a, b], -1), torch.stack([b, c], -1)], 1)
    camera = scenes.Camera(np.eye(4), np.eye(3), width, height)
    depths = torch.arange(1, len(ids) + 1, dtype=torch.float32)
    logits = torch.logit(opacities[0, ids])
    return ids, *reference.weights_of(centres[..., ids, :], matrices, depths, logits, camera)


class _Absolute(torch.autograd.Function):
    """Hands each pixel centres of its own; with their gradients it does what gsplat's backward does with absgrad."""

    @staticmethod
    def forward(ctx, means2d, pixels):
        ctx.save_for_backward(means2d)
        return means2d[0].expand(pixels, -1, -1).clone()

    @staticmethod
    def backward(ctx, d_centres):  # pyright: ignore[reportIncompatibleMethodOverride]
        (means2d,) = ctx.saved_tensors
        means2d.absgrad = d_centres.abs().sum(0)[None]
        return d_centres.sum(0)[None], None


def _rasterize_to_pixels_stand_in(
    means2d, conics, colors, opacities, width, height, tile_size, offsets, members, absgrad=False
):
    assert offsets.shape == (1, -(-height // tile_size), -(-width // tile_size))
    assert colors.shape[:2] == means2d.shape[:2]
    assert colors.shape[2] <= 32
    centres = _Absolute.apply(means2d.contiguous(), height * width) if absgrad else means2d[0]
    ids, W, light = dense(centres, conics, opacities, width, height, members)
    return (W @ colors[0, ids]).reshape(1, height, width, -1), (1 - light).reshape(1, height, width, 1)


def _rasterize_to_indices_stand_in(
    start, end, transmittances, means2d, conics, opacities, width, height, tile_size, offsets, members
):
    assert transmittances.shape == (1, height, width)
    ids, W, _ = dense(means2d[0], conics, opacities, width, height, members)
    # As the kernel does: a pixel whose light would fall to 1e-4 is finished before the Gaussian is listed.
    W = torch.where(transmittances.view(-1, 1) > 1e-4, W, 0)
    pixels, columns = torch.nonzero(W > 0, as_tuple=True)
    return ids[columns], pixels, torch.zeros_like(pixels)
