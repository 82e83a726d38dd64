"""Results of rendering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Contributions:
    """The strongest Gaussians of P pixels of one view: the sparse matrix W with rows pixels, columns Gaussians.

    For constant geometry any per-Gaussian quantity renders linearly, V = W v (eq. (3) of UniC-Lift), so lifting needs
    only these two arrays per view.

    Attributes:
        pixels: (P,) int64, row-major pixel numbers ``y * width + x``.
        ids: (P, k) int32, Gaussians, strongest first; 0 if fewer than k contribute.
        weights: (P, k) float32, alpha times transmittance; 0 if fewer than k contribute.
    """

    pixels: NDArray[np.int64]
    ids: NDArray[np.int32]
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class Rendered:
    """One rendered view, differentiable by torch.

    Attributes:
        image: (H, W, C) float32, blended features on black.
        alpha: (H, W) float32, 1 minus the final transmittance.
        means2d: (N, 2) float32, projected centres in pixels, (0, 0) behind the near plane. After ``backward`` its
            ``.grad`` is dL/dmeans2d, like gsplat's ``info["means2d"]`` after ``retain_grad``.
        visible: (N,) bool, whether the Gaussian touches any pixel.
        radii: (N, 2) float32, half-extents in pixels in x and y at which alpha falls to 1/255; 0 if not visible.
        drawn: the centres as passed to the engine, if ``absgrad`` was requested; else None.
    """

    image: Tensor
    alpha: Tensor
    means2d: Tensor
    visible: Tensor
    radii: Tensor
    drawn: Tensor | None = None

    @property
    def absgrad(self) -> Tensor:
        """(N, 2) float32, after ``backward``: the sum over pixels of the absolute contributions to dL/dmeans2d.

        From Ye et al. 2024, "AbsGS". Only for a view drawn with ``absgrad``.
        """
        # Read where gsplat stores it. A hook that copied it would create a reference cycle with the view's graph.
        return getattr(self.drawn, "absgrad").view(-1, 2)  # noqa: B009


class Votes(NamedTuple):
    """The votes of one view's mask for each Gaussian, from all pixels and all contributing Gaussians.

    Attributes:
        label: (N,) int32, the mask id with the largest summed weight, ties go to the smallest id; -1 if no pixel shows
            the Gaussian or most of it is void.
        own: (N,) float32, summed weight on that id.
        total: (N,) float32, summed weight on all ids.
        zero: (N,) float32, summed weight on id 0.
    """

    label: NDArray[np.int32]
    own: NDArray[np.float32]
    total: NDArray[np.float32]
    zero: NDArray[np.float32]
