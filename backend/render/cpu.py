"""The numba engine: projection, binning and blending combined, for training and for lifting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from backend.render.blend import blend, blend_backward, gather
from backend.render.blend_rgb import CHANNELS, blend_rgb, blend_rgb_backward
from backend.render.contribute import contributions
from backend.render.label_image import label_image
from backend.render.project import LEAST, REACH_X, REACH_Y, U, V, project_backward
from backend.render.projected import Floats, ProjectedSplats, project_splats
from backend.render.sh import sh_colours
from backend.render.types import Contributions, Rendered, Votes
from backend.render.votes import votes
from backend.scene.types import Camera
from backend.threads import spread
from protocol.splats import Splats


@dataclass(frozen=True)
class Picture:
    """The results of blending: image (H, W, C), transmittance (H, W), stop (tiles,)."""

    image: Floats
    transmittance: Floats
    stop: NDArray[np.int64]


def paint(seen: ProjectedSplats, features: Floats) -> Picture:
    """Blend features (N, C)."""
    camera, bins = seen.camera, seen.bins
    image = np.empty((camera.height, camera.width, features.shape[1]), np.float32)
    transmittance = np.empty((camera.height, camera.width), np.float32)
    stop = np.empty(len(bins.schedule), np.int64)
    kernel = blend_rgb if features.shape[1] == CHANNELS else blend
    spread(
        kernel, len(bins.schedule), bins.schedule, bins.start, bins.members, bins.rows, seen.footprints, features,
        bins.across, image, transmittance, stop, least=bins.least,
    )  # fmt: skip
    return Picture(image, transmittance, stop)


class _Paint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, means, quats, scales, opacities, features, means2d, seen, absgrad):
        picture = paint(seen, _numpy(features))
        image, alpha = torch.from_numpy(picture.image), torch.from_numpy(1 - picture.transmittance)
        # The image is saved as a tensor, so that torch detects writes to it before the backward pass.
        ctx.save_for_backward(means, quats, scales, features, image, means2d)
        ctx.seen, ctx.transmittance, ctx.stop, ctx.absgrad = seen, picture.transmittance, picture.stop, absgrad
        return image, alpha

    @staticmethod
    @once_differentiable
    def backward(ctx, d_image, d_alpha):  # pyright: ignore[reportIncompatibleMethodOverride]
        *tensors, means2d = ctx.saved_tensors
        means, quats, scales, features, image = (_numpy(tensor) for tensor in tensors)
        seen = ctx.seen
        camera, bins = seen.camera, seen.bins
        n, channels = features.shape
        absolute, others = (True, 8) if ctx.absgrad else (None, 6)
        sums = np.empty((len(bins.members), channels + others), np.float32)
        kernel = blend_rgb_backward if channels == CHANNELS else blend_backward
        spread(
            kernel, len(bins.schedule), bins.schedule, bins.start, bins.members, bins.rows, bins.slots, seen.footprints,
            features, bins.across, image, ctx.transmittance, ctx.stop, _numpy(d_image), _numpy(d_alpha), sums, absolute,
            least=bins.least,
        )  # fmt: skip
        d_features, moments = np.zeros((n, channels), np.float32), np.zeros((n, others), np.float32)
        spread(gather, len(bins.order), bins.order, bins.first, sums, d_features, moments, least=LEAST)
        if ctx.absgrad:
            means2d.absgrad = torch.from_numpy(moments[:, 6:].copy())
        if not any(ctx.needs_input_grad[:4]) and not ctx.needs_input_grad[5]:
            return None, None, None, None, torch.from_numpy(d_features), None, None, None
        d_means, d_quats = np.empty((n, 3), np.float32), np.empty((n, 4), np.float32)
        d_scales, d_opacities = np.empty((n, 3), np.float32), np.empty(n, np.float32)
        d_means2d = np.empty((n, 2), np.float32)
        spread(
            project_backward, n, means, quats, scales, camera.view, camera.lens, camera.width, camera.height,
            seen.footprints, seen.boxes, moments, d_means, d_quats, d_scales, d_opacities, d_means2d,
            least=LEAST,
        )  # fmt: skip
        gradients = (d_means, d_quats, d_scales, d_opacities, d_features, d_means2d)
        return *(torch.from_numpy(gradient) for gradient in gradients), None, None


def rasterize(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    features: Tensor,
    camera: Camera,
    absgrad: bool = False,
) -> Rendered:
    """See :func:`backend.render.engine.rasterize`."""
    seen = project_splats(_numpy(means), _numpy(quats), _numpy(scales), _numpy(opacities), camera)
    means2d = torch.from_numpy(np.ascontiguousarray(seen.footprints[:, [U, V]]))
    # The projected centres are a separate leaf: their gradient is only reported; the means get theirs directly.
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (means, quats, scales, opacities)):
        means2d.requires_grad_()
    image, alpha = _Paint.apply(means, quats, scales, opacities, features, means2d, seen, absgrad)
    boxes = seen.boxes
    visible = (boxes[:, 0] <= boxes[:, 1]) & (boxes[:, 2] <= boxes[:, 3])
    radii = seen.footprints[:, [REACH_X, REACH_Y]] * visible[:, None]
    drawn = means2d if absgrad else None
    return Rendered(image, alpha, means2d, torch.from_numpy(visible), torch.from_numpy(radii), drawn)


def _numpy(tensor: Tensor) -> NDArray:
    return tensor.detach().contiguous().numpy()


def _copy(column: NDArray) -> Floats:
    """Return a writable, contiguous float32 copy, so that the kernels are compiled for one array type only."""
    return np.array(column, np.float32, order="C")


class Still:
    """Constant Gaussians: see :class:`backend.render.engine.Renderer`."""

    def __init__(self, splats: Splats) -> None:
        self._geometry = _copy(splats.means), _copy(splats.quats), _copy(splats.scales), _copy(splats.opacities)
        self._sh = torch.from_numpy(_copy(splats.sh))

    def contributions(self, camera: Camera, pixels: NDArray[np.int64] | None, k: int) -> Contributions:
        return contributions(project_splats(*self._geometry, camera), pixels, k)

    def image(self, camera: Camera, features: Floats | None) -> Floats:
        if features is None:
            features = sh_colours(self._sh, torch.from_numpy(self._geometry[0]), camera).numpy()
        return paint(project_splats(*self._geometry, camera), _copy(features)).image

    def votes(self, camera: Camera, mask: NDArray[np.int32]) -> Votes:
        return votes(project_splats(*self._geometry, camera), mask)

    def labels(self, camera: Camera, labels: NDArray[np.integer], background: float) -> NDArray[np.int32]:
        return label_image(project_splats(*self._geometry, camera), labels, background)
