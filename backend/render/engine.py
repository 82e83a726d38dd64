"""Selects the engine by the device of the tensors, or by name."""

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
    """Return the device for ``name``: "cpu" or "cuda"; "auto" is "cuda" if it works, else "cpu".

    Raises:
        Unavailable: if "cuda" was requested and is not available; the sentence contains the reason.
        BadArgument: for any other name.
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
    """Rasterise N Gaussians; differentiable in all five arguments.

    The device of the tensors selects the engine: numba on the CPU, gsplat on CUDA. The rendering model is documented in
    :mod:`backend.render.model`; gradients are zero at its cuts.

    Args:
        means: (N, 3) float32, centres in the world.
        quats: (N, 4) float32, rotations wxyz, not normalised.
        scales: (N, 3) float32, logarithms of the standard deviations.
        opacities: (N,) float32, logits.
        features: (N, C) float32, any number of channels: colours, embeddings.
        camera: see :class:`backend.scene.types.Camera`.
        absgrad: whether ``backward`` also computes :attr:`Rendered.absgrad`; only for features with at most 32
            channels.

    Raises:
        ValueError: if a tensor has the wrong shape or dtype, or ``absgrad`` is used with more channels.
        Unavailable: for tensors on CUDA, if gsplat's kernels are missing.
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
    """The interface of both engines for constant Gaussians."""

    def contributions(self, camera: Camera, pixels: NDArray[np.int64] | None, k: int) -> Contributions: ...
    def image(self, camera: Camera, features: NDArray[np.float32] | None) -> NDArray[np.float32]: ...
    def votes(self, camera: Camera, mask: NDArray[np.int32]) -> Votes: ...
    def labels(self, camera: Camera, labels: NDArray[np.integer], background: float) -> NDArray[np.int32]: ...


class Renderer:
    """Renders constant Gaussians many times, without gradients.

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
        """Return the k strongest Gaussians of each pixel.

        Args:
            pixels: (P,) row-major pixel numbers, in any order, repeats allowed; None for all pixels of the view.
            k: at least 1.

        Raises:
            ValueError: if k is below 1, or a pixel is outside the view.
        """
        if k < 1:
            raise ValueError(f"k is {k}, expected at least 1")
        if pixels is not None and len(pixels) and not 0 <= pixels.min() <= pixels.max() < camera.width * camera.height:
            raise ValueError(f"pixel numbers must be from 0 to {camera.width * camera.height - 1}")
        return self._engine.contributions(camera, pixels, k)

    def image(self, camera: Camera, features: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Return (H, W, C) float32: features (N, C) blended on black; if None, colour from SH at full degree."""
        if features is not None and (features.ndim != 2 or len(features) != self._count):
            raise ValueError(f"features has shape {features.shape}, expected ({self._count}, channels)")
        return self._engine.image(camera, features)

    def votes(self, camera: Camera, mask: NDArray[np.int32]) -> Votes:
        """Return for each Gaussian the id of ``mask`` (H, W) with most of its weight in this view.

        Weights are summed over all pixels and all contributing Gaussians, not only the strongest; ids 0 and -1 are
        treated like any other.
        """
        if mask.shape != (camera.height, camera.width):
            raise ValueError(f"the mask has shape {mask.shape}, expected ({camera.height}, {camera.width})")
        return self._engine.votes(camera, mask)

    def labels(self, camera: Camera, labels: NDArray[np.integer], background: float = 1.0) -> NDArray[np.int32]:
        """Return (H, W) int32, the label with the most light in each pixel. All Gaussians count.

        Args:
            labels: (N,) integer, of each Gaussian, from 0. 0 is background, as is light that passes all Gaussians. Ties
                go to the lowest label.
            background: weight of the background's light relative to that of another label.

        Raises:
            ValueError: if ``labels`` does not have one label from 0 for each Gaussian.
        """
        if labels.shape != (self._count,) or labels.min(initial=0) < 0:
            raise ValueError(f"labels has shape {labels.shape}, expected ({self._count},) from 0")
        return self._engine.labels(camera, labels, background)
