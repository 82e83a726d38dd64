"""Which engine draws: the device of the tensors, or the name that was asked for."""

from __future__ import annotations

import logging
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.render import cpu, cuda
from backend.render.types import Contributions, Rendered, Votes
from backend.scene.types import Camera
from protocol.errors import BadArgument
from protocol.splats import Splats

log = logging.getLogger(__name__)


def device_of(name: str) -> str:
    """The device that ``name`` means here: "cpu" or "cuda"; "auto" is "cuda" where that works, else "cpu".

    Raises:
        Unavailable: "cuda" was asked for and cannot be had; the sentence gives the reason.
        BadArgument: any other name.
    """
    if name == "cpu":
        return "cpu"
    if name == "cuda":
        cuda.require()
        return "cuda"
    if name == "auto":
        reason = cuda.missing()
        if reason is not None and torch.cuda.is_available():
            log.warning("The GPU is not used: %s.", reason)
        return "cuda" if reason is None else "cpu"
    raise BadArgument(f"The device {name!r} does not exist.", "Choose auto, cpu or cuda.")


def rasterize(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    features: Tensor,
    camera: Camera,
    *,
    absgrad: bool = False,
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
        absgrad: whether ``backward`` is to leave :attr:`Rendered.absgrad` as well; of features with at most 32
            channels.

    Raises:
        ValueError: a tensor of another shape or dtype; ``absgrad`` of more channels.
        Unavailable: tensors on CUDA where gsplat's kernels are missing.
    """
    n = len(means)
    wanted = {"means": (means, (n, 3)), "quats": (quats, (n, 4)), "scales": (scales, (n, 3))}
    wanted |= {"opacities": (opacities, (n,)), "features": (features, (n, features.shape[-1]))}
    for name, (tensor, shape) in wanted.items():
        if tensor.shape != shape or tensor.dtype != torch.float32:
            raise ValueError(f"{name} is {tensor.dtype} {tuple(tensor.shape)}, expected float32 {shape}")
    if absgrad and features.shape[1] > cuda.CHUNK:
        raise ValueError(f"absgrad of {features.shape[1]} channels, expected at most {cuda.CHUNK}")
    engine = cuda if means.device.type == "cuda" else cpu
    return engine.rasterize(means, quats, scales, opacities, features, camera, absgrad)


class Engine(Protocol):
    """What both engines offer for Gaussians that hold still."""

    def contributions(self, camera: Camera, pixels: NDArray[np.int64] | None, k: int) -> Contributions: ...
    def image(self, camera: Camera, features: NDArray[np.float32] | None) -> NDArray[np.float32]: ...
    def votes(self, camera: Camera, mask: NDArray[np.int32]) -> Votes: ...


class Renderer:
    """Gaussians that hold still, drawn many times; no gradients.

    Args:
        splats: N Gaussians; their arrays are copied.
        device: "auto", "cpu" or "cuda".

    Raises:
        Unavailable: see :func:`device_of`.
    """

    def __init__(self, splats: Splats, device: str = "auto") -> None:
        self.device = device_of(device)
        self._count = len(splats)
        self._engine: Engine = (cuda.Still if self.device == "cuda" else cpu.Still)(splats)

    def contributions(self, camera: Camera, pixels: NDArray[np.int64] | None = None, k: int = 16) -> Contributions:
        """The k strongest Gaussians of each pixel.

        Args:
            pixels: (P,) row-major pixel numbers, in any order, repeats allowed; None for all pixels of the view.
            k: at least 1.

        Raises:
            ValueError: k below 1, or a pixel outside the view.
        """
        if k < 1:
            raise ValueError(f"k is {k}, expected at least 1")
        if pixels is not None and len(pixels) and not 0 <= pixels.min() <= pixels.max() < camera.width * camera.height:
            raise ValueError(f"pixel numbers must be from 0 to {camera.width * camera.height - 1}")
        return self._engine.contributions(camera, pixels, k)

    def image(self, camera: Camera, features: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """(H, W, C) float32: features (N, C) blended on black; where None, colour from SH at full degree."""
        if features is not None and (features.ndim != 2 or len(features) != self._count):
            raise ValueError(f"features has shape {features.shape}, expected ({self._count}, channels)")
        return self._engine.image(camera, features)

    def votes(self, camera: Camera, mask: NDArray[np.int32]) -> Votes:
        """For each Gaussian the id of ``mask`` (H, W) that most of its weight in this view falls on.

        The weight is summed over all pixels and all contributors, not only the strongest; ids 0 and -1 count like any
        other.
        """
        if mask.shape != (camera.height, camera.width):
            raise ValueError(f"the mask has shape {mask.shape}, expected ({camera.height}, {camera.width})")
        return self._engine.votes(camera, mask)
