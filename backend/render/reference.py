"""A simple reference renderer: every Gaussian at every pixel, with torch operations and autograd.

For tests and as documentation; O(N H W) memory. The formulas are those of :mod:`backend.render.model`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from backend.render.model import ALPHA_MAX, ALPHA_MIN, CLAMP, LOW_PASS, NEAR, TRANSMITTANCE_MIN
from backend.scene.types import Camera


def rotations(quats: Tensor) -> Tensor:
    """Return (N, 3, 3) rotation matrices of quaternions (N, 4) wxyz of any length."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).reshape(-1, 3, 3)


def project(means: Tensor, quats: Tensor, scales: Tensor, camera: Camera) -> tuple[Tensor, Tensor, Tensor]:
    """Return means2d (N, 2) in pixels, conics (N, 2, 2) in 1/pixels^2, depths (N,); without culling."""
    view = torch.as_tensor(camera.viewmat, dtype=means.dtype)
    K = torch.as_tensor(camera.K, dtype=means.dtype)
    focal, centre = torch.stack([K[0, 0], K[1, 1]]), K[:2, 2]
    size = torch.tensor([camera.width, camera.height], dtype=means.dtype)
    points = means @ view[:3, :3].T + view[:3, 3]
    depths = points[:, 2]
    slopes = points[:, :2] / depths[:, None]
    margin = CLAMP * 0.5 * size / focal
    bounded = torch.minimum(torch.maximum(slopes, -centre / focal - margin), (size - centre) / focal + margin)
    zero = torch.zeros_like(depths)
    jacobian = torch.stack(
        [
            torch.stack([focal[0] / depths, zero, -focal[0] * bounded[:, 0] / depths], -1),
            torch.stack([zero, focal[1] / depths, -focal[1] * bounded[:, 1] / depths], -1),
        ],
        1,
    )
    spread = jacobian @ view[:3, :3] @ (rotations(quats) * scales.exp()[:, None, :])
    covariances = spread @ spread.transpose(1, 2) + LOW_PASS * torch.eye(2, dtype=means.dtype)
    return slopes * focal + centre, torch.linalg.inv(covariances), depths


def weights_of(
    means2d: Tensor, conics: Tensor, depths: Tensor, opacities: Tensor, camera: Camera
) -> tuple[Tensor, Tensor]:
    """Return the dense matrix W (pixels, N) of weights of projected Gaussians, and the final transmittance (pixels,).

    Args:
        means2d: (N, 2), or (pixels, N, 2) with separate centres per pixel, for gradients per pixel.
    """
    ys, xs = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
    pixels = torch.stack([xs.reshape(-1), ys.reshape(-1)], -1).to(means2d.dtype) + 0.5
    offsets = pixels[:, None] - means2d
    power = 0.5 * torch.einsum("pni,nij,pnj->pn", offsets, conics, offsets)
    raw = torch.sigmoid(opacities) * torch.exp(-power)
    drawn = (raw >= ALPHA_MIN) & (depths > NEAR)
    alphas = torch.where(drawn, raw.clamp_max(ALPHA_MAX), torch.zeros_like(raw))
    transmittance = torch.ones(len(pixels), dtype=means2d.dtype)
    columns: list[Tensor] = [torch.zeros_like(transmittance)] * len(depths)
    for i in torch.argsort(depths, stable=True).tolist():
        columns[i] = alphas[:, i] * transmittance
        after = transmittance - columns[i]
        transmittance = torch.where(after >= TRANSMITTANCE_MIN, after, torch.zeros_like(after))
    return torch.stack(columns, -1) if columns else alphas, transmittance


def weights(
    means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, camera: Camera
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the dense matrix W (pixels, N) of weights, the final transmittance (pixels,), and means2d (N, 2)."""
    view = torch.as_tensor(camera.viewmat, dtype=means.dtype)
    depths = means @ view[2, :3] + view[2, 3]
    # Gaussians behind the camera are moved one unit in front of it, so that nothing becomes NaN; they are not drawn.
    before = view[:3, :3].T @ (torch.tensor([0, 0, 1.0], dtype=means.dtype) - view[:3, 3])
    safe = torch.where((depths > NEAR)[:, None], means, before)
    means2d, conics, _ = project(safe, quats, scales, camera)
    return *weights_of(means2d, conics, depths, opacities, camera), means2d


def rasterize(
    means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, features: Tensor, camera: Camera
) -> tuple[Tensor, Tensor]:
    """Return image (H, W, C) and alpha (H, W); differentiable in all five."""
    W, transmittance, _ = weights(means, quats, scales, opacities, camera)
    size = (camera.height, camera.width)
    return (W @ features).reshape(*size, -1), (1 - transmittance).reshape(size)
