"""gsplat's kernels played by torch on the CPU, after the CUDA sources of gsplat 1.5.3 and its own torch functions.

Only the compiled functions are played: the wrappers around them, with their assertions, their padding of channels and
their autograd, are gsplat's own. The players are as strict as the kernels: they take contiguous arrays of the right
types, leave uninitialised what those leave uninitialised, and end where those would end the process.

What they prove is our side of the calls: shapes, chunks of channels, sums, orders.
"""

from __future__ import annotations

import gsplat.cuda._wrapper as wrapper
import pytest
import torch
from gsplat.cuda._torch_impl import _fully_fused_projection, _quat_scale_to_covar_preci, _spherical_harmonics
from torch import Tensor

from backend.render import cuda
from backend.render.model import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN

COMPILED = (1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 64, 65, 128, 129, 256, 257, 512, 513)
"""The numbers of channels that there are kernels for."""


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let gsplat's wrappers find the players in place of the kernels, on tensors of the CPU."""
    kernels = {
        "adam": _adam,
        "spherical_harmonics_fwd": _harmonics,
        "spherical_harmonics_bwd": _harmonics_backward,
        "projection_ewa_3dgs_fused_fwd": _project,
        "projection_ewa_3dgs_fused_bwd": _project_backward,
        "intersect_tile": _intersect,
        "intersect_offset": _offsets,
        "rasterize_to_pixels_3dgs_fwd": _blend,
        "rasterize_to_pixels_3dgs_bwd": _blend_backward,
        "rasterize_to_indices_3dgs": _list_pairs,
    }
    monkeypatch.setattr(wrapper, "_make_lazy_cuda_func", kernels.__getitem__)
    monkeypatch.setattr(wrapper, "_make_lazy_cuda_obj", lambda name: name)
    monkeypatch.setattr(cuda, "require", lambda: None)


def _check(*floats: Tensor, integers: tuple[Tensor, ...] = ()) -> None:
    for tensors, dtype in ((floats, torch.float32), (integers, torch.int32)):
        for tensor in tensors:
            assert tensor.is_contiguous()
            assert tensor.dtype == dtype


def _divide_by(count: int) -> None:
    assert count, "gsplat divides by the number of Gaussians: the process would have ended here"


def _adam(column, gradient, first, second, valid, rate, beta1, beta2, eps):
    _check(column, gradient, first, second)
    _divide_by(len(column))
    assert valid.dtype == torch.bool
    assert valid.shape == column.shape[:1]
    assert valid.is_contiguous()
    assert isinstance(rate, float)
    slope = gradient[valid]
    first[valid] = beta1 * first[valid] + (1 - beta1) * slope
    second[valid] = beta2 * second[valid] + (1 - beta2) * slope * slope
    column[valid] -= rate * first[valid] / (second[valid].sqrt() + eps)


def _harmonics(degree, directions, sh, masks):
    assert masks is None
    _check(directions, sh)
    return _spherical_harmonics(degree, directions, sh)


def _harmonics_backward(count, degree, directions, sh, masks, v_colours, of_directions):
    assert masks is None
    assert sh.shape[1] == count
    _check(directions, sh, v_colours)
    with torch.enable_grad():
        rows = [values.detach().requires_grad_() for values in (sh, directions)]
        v_sh, v_directions = torch.autograd.grad(_spherical_harmonics(degree, rows[1], rows[0]), rows, v_colours)
    return v_sh, v_directions if of_directions else None


def _flat(means, quats, scales, viewmats, Ks, width, height, eps2d, near=0.01, far=1e10):
    covariances, _ = _quat_scale_to_covar_preci(quats, scales, True, False)
    assert covariances is not None
    return _fully_fused_projection(means, covariances, viewmats, Ks, width, height, eps2d, near, far)


def _project(
    means, covars, quats, scales, opacities, viewmats, Ks, width, height, eps2d, near, far, clip, compensate, model
):
    assert (covars, clip, compensate, model) == (None, 0, False, "CameraModelType.PINHOLE")
    _check(means, quats, scales, opacities, viewmats, Ks)
    _divide_by(len(means))
    _, means2d, depths, conics, _ = _flat(means, quats, scales, viewmats, Ks, width, height, eps2d, near, far)
    a, b, c = conics.unbind(-1)
    spread = torch.stack([c, a], -1) / (a * c - b * b)[..., None]
    reach = (2 * torch.log(opacities / ALPHA_MIN)).clamp_min(0).sqrt().clamp_max(3.33)
    radii = torch.ceil(reach[:, None] * spread.sqrt())
    size = torch.tensor([width, height])
    inside = ((means2d + radii > 0) & (means2d - radii < size)).all(-1)
    shown = inside & (depths >= near) & (depths <= far) & (opacities >= ALPHA_MIN) & (radii > 0).any(-1)
    # The kernel writes nothing else of a Gaussian that is not shown.
    means2d, depths, conics = (
        torch.where(shown.view(*shown.shape, *[1] * (values.dim() - 2)), values, torch.nan)
        for values in (means2d, depths, conics)
    )
    radii = torch.where(shown[..., None], radii, 0).to(torch.int32)
    return radii, means2d, depths, conics, None


def _project_backward(
    means, covars, quats, scales, viewmats, Ks, width, height, eps2d, model, radii, conics, compensations,
    v_means2d, v_depths, v_conics, v_compensations, of_viewmats,
):  # fmt: skip
    assert (covars, compensations, v_compensations, of_viewmats) == (None, None, None, False)
    _check(means, quats, scales, viewmats, Ks, conics, v_means2d, v_depths, v_conics, integers=(radii,))
    _divide_by(len(means))
    gradients = [torch.zeros_like(values) for values in (means, quats, scales)]
    shown = (radii[0] > 0).all(-1)
    with torch.enable_grad():
        rows = [values[shown].detach().requires_grad_() for values in (means, quats, scales)]
        _, centres, depths, conics, _ = _flat(rows[0], rows[1], rows[2], viewmats, Ks, width, height, eps2d)
        parts = torch.autograd.grad(
            (centres, depths, conics), rows, (v_means2d[:, shown], v_depths[:, shown], v_conics[:, shown])
        )
    for gradient, part in zip(gradients, parts, strict=True):
        gradient[shown] = part
    return gradients[0], None, *gradients[1:], None


def _intersect(means2d, radii, depths, image_ids, gaussian_ids, images, tile_size, across, down, sort, segmented):
    # One list for the whole image: the Gaussians by depth. The players that read it know.
    assert (image_ids, gaussian_ids, images, sort, segmented) == (None, None, 1, True, False)
    _check(means2d, depths, integers=(radii,))
    order = torch.argsort(depths[0], stable=True)
    members = order[(radii[0, order] > 0).all(-1)].to(torch.int32)
    return radii.new_zeros(depths.shape), members.to(torch.int64), members


def _offsets(keys, images, across, down):
    assert keys.dtype == torch.int64
    return torch.zeros(images, down, across, dtype=torch.int32)


def dense(centres, conics, opacities, width, height, members, light=1.0):
    """Gaussians of the one list of an image, the dense matrix of their weights, and the light that is left.

    Args:
        centres: (N, 2), or (pixels, N, 2) with separate centres per pixel, for gradients per pixel.
        light: that each pixel begins with, a number or (pixels, 1).
    """
    ids = members.long()
    across, down = torch.arange(width) + 0.5, torch.arange(height) + 0.5
    pixels = torch.stack(torch.meshgrid(across, down, indexing="xy"), -1).view(-1, 1, 2)
    dx, dy = (centres[..., ids, :] - pixels).unbind(-1)
    a, b, c = conics[0, ids].unbind(-1)
    raw = opacities[0, ids] * torch.exp(-(0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy))
    alphas = torch.where(raw >= ALPHA_MIN, raw.clamp_max(ALPHA_MAX), 0)
    # The Gaussian that would end the light of a pixel is left out, and so is all behind it.
    drawn = light * torch.cumprod(1 - alphas.detach(), 1) > TRANSMITTANCE_MIN
    alphas = torch.where(drawn, alphas, 0)
    after = light * torch.cumprod(1 - alphas, 1)
    before = torch.cat([light * torch.ones(len(pixels), 1), after], 1)
    return ids, alphas * before[:, :-1], before[:, -1]


def _blend(
    means2d, conics, colors, opacities, backgrounds, masks, width, height, tile_size, offsets, members
):  # fmt: skip
    assert (backgrounds, masks) == (None, None)
    _check(means2d, conics, colors, opacities, integers=(offsets, members))
    assert offsets.shape == (1, -(-height // tile_size), -(-width // tile_size))
    assert colors.shape[-1] in COMPILED
    ids, W, light = dense(means2d[0], conics, opacities, width, height, members)
    image = (W @ colors[0, ids]).reshape(1, height, width, -1)
    alpha = (1 - light).reshape(1, height, width, 1)
    return image, alpha, torch.zeros(1, height, width, dtype=torch.int32)


def _blend_backward(
    means2d, conics, colors, opacities, backgrounds, masks, width, height, tile_size, offsets, members,
    alphas, last_ids, v_colors, v_alphas, absolute,
):  # fmt: skip
    assert (backgrounds, masks) == (None, None)
    _check(means2d, conics, colors, opacities, alphas, v_colors, v_alphas, integers=(offsets, members, last_ids))
    assert colors.shape[-1] in COMPILED
    with torch.enable_grad():
        rows = [values.detach().requires_grad_() for values in (conics, colors, opacities)]
        # Separate centres per pixel, so that each pixel's contribution to their gradients is known.
        centres = means2d.detach()[0].expand(height * width, -1, -1).clone().requires_grad_()
        ids, W, light = dense(centres, rows[0], rows[2], width, height, members)
        outputs = W @ rows[1][0, ids], 1 - light
        parts = torch.autograd.grad(
            outputs, [centres, *rows], (v_colors.view(height * width, -1), v_alphas.view(-1)), allow_unused=True
        )
    v_centres, v_conics, v_features, v_opacities = (
        torch.zeros_like(values) if part is None else part for part, values in zip(parts, (centres, *rows), strict=True)
    )
    v_absolute = v_centres.abs().sum(0)[None] if absolute else None
    return v_absolute, v_centres.sum(0)[None], v_conics, v_features, v_opacities


def _list_pairs(
    start, end, light, means2d, conics, opacities, width, height, tile_size, offsets, members
):  # fmt: skip
    assert 0 <= start <= end < 2**32
    _check(light, means2d, conics, opacities, integers=(offsets, members))
    _divide_by(means2d.shape[-2])
    ids, W, _ = dense(means2d[0], conics, opacities, width, height, members, light.view(-1, 1))
    pixels, columns = torch.nonzero(W > 0, as_tuple=True)
    return ids[columns], pixels
