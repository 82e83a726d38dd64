"""Small random scenes that reach every branch of the renderer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from backend.scene.types import Camera
from protocol.splats import Splats

SIZES = ((33, 21), (16, 16), (50, 47), (7, 64))
CHANNELS = (1, 3, 12)
COUNTS = (1, 5, 25, 40)


def camera(seed: int, width: int, height: int) -> Camera:
    """Any orientation, any place, fx unlike fy, the principal point off the middle."""
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    viewmat = np.eye(4)
    viewmat[:3, :3] = axes * np.sign(np.linalg.det(axes))
    viewmat[:3, 3] = rng.normal(size=3)
    K = np.array([[40.0, 0, width * 0.6], [0, 30.0, height * 0.4], [0, 0, 1]])
    return Camera(viewmat, K, width, height)


def gaussians(seed: int, count: int, camera: Camera, sh: int = 1) -> Splats:
    """About a tenth behind the camera, a quarter off the image, some nearly opaque, some too faint to draw."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(count, 3)) * (1.2, 1.0, 1.5) + (0, 0, 2.0)
    world = (points - camera.viewmat[:3, 3]) @ camera.viewmat[:3, :3]
    return Splats(
        world.astype(np.float32),
        rng.normal(size=(count, 4)).astype(np.float32),
        (rng.normal(size=(count, 3)) * 0.5 - 1.6).astype(np.float32),
        (rng.normal(size=count) * 3).astype(np.float32),
        (rng.normal(size=(count, sh, 3)) * 0.4).astype(np.float32),
    )


def scene(seed: int) -> tuple[Splats, Camera, int]:
    """Gaussians, a camera and a number of channels; 20 seeds meet all sizes, counts and channels."""
    view = camera(seed, *SIZES[seed % 4])
    return gaussians(seed, COUNTS[(seed // 4) % 4], view), view, CHANNELS[seed % 3]


Geometry = tuple[Tensor, Tensor, Tensor, Tensor]


def plain(splats: Splats, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Geometry:
    """means, quats, scales and opacities."""
    means, quats = torch.tensor(splats.means, dtype=dtype), torch.tensor(splats.quats, dtype=dtype)
    scales, opacities = torch.tensor(splats.scales, dtype=dtype), torch.tensor(splats.opacities, dtype=dtype)
    return means.to(device), quats.to(device), scales.to(device), opacities.to(device)


def tensors(splats: Splats, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Geometry:
    """The same, each asking for its gradient."""
    means, quats, scales, opacities = plain(splats, dtype, device)
    return means.requires_grad_(), quats.requires_grad_(), scales.requires_grad_(), opacities.requires_grad_()


def features(seed: int, count: int, channels: int, dtype: torch.dtype = torch.float32) -> Tensor:
    rng = np.random.default_rng(seed + 1000)
    return torch.tensor(rng.uniform(-1, 1, (count, channels)).astype(np.float32), dtype=dtype).requires_grad_()


def loss_weights(seed: int, camera: Camera, channels: int) -> tuple[Tensor, Tensor]:
    """What a random linear loss asks of image and alpha."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(camera.height, camera.width, channels, generator=generator)
    return image, torch.randn(camera.height, camera.width, generator=generator)
