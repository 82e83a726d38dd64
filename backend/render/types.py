"""What rendering returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Contributions:
    """The strongest Gaussians of P pixels of one view: the sparse matrix W with rows pixels, columns Gaussians.

    With geometry held still any per-Gaussian quantity renders linearly, V = W v (eq. (3) of UniC-Lift), so these
    two arrays are all that lifting needs of a view.

    Attributes:
        pixels: (P,) int64, row-major pixel numbers ``y * width + x``.
        ids: (P, k) int32, Gaussians, strongest first; 0 where fewer than k contribute.
        weights: (P, k) float32, alpha times transmittance; 0 where fewer than k contribute.
    """

    pixels: NDArray[np.int64]
    ids: NDArray[np.int32]
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class Rendered:
    """One view, drawn so that torch can differentiate it.

    Attributes:
        image: (H, W, C) float32, blended features on black.
        alpha: (H, W) float32, 1 minus the transmittance that is left.
        means2d: (N, 2) float32, projected centres in pixels, (0, 0) behind the near plane. After ``backward`` its
            ``.grad`` holds dL/dmeans2d, as gsplat's ``info["means2d"]`` does after ``retain_grad``.
        visible: (N,) bool, whether the Gaussian touches any pixel.
        radii: (N, 2) float32, half-extents in pixels in x and y where alpha falls to 1/255; 0 where not visible.
        drawn: the centres as the engine was given them, where ``absgrad`` was asked for; else None.
    """

    image: Tensor
    alpha: Tensor
    means2d: Tensor
    visible: Tensor
    radii: Tensor
    drawn: Tensor | None = None

    @property
    def absgrad(self) -> Tensor:
        """(N, 2) float32, after ``backward``: the sum over pixels of |what the pixel adds to dL/dmeans2d|.

        Of Ye et al. 2024, "AbsGS". Only of a view that was drawn with ``absgrad``.
        """
        # Where gsplat leaves it. A hook that copied it would tie the view and its graph into a ring.
        return getattr(self.drawn, "absgrad").view(-1, 2)  # noqa: B009


class Votes(NamedTuple):
    """What one view's mask says of each Gaussian, from all pixels and all contributors.

    Attributes:
        label: (N,) int32, the mask id with the largest summed weight, the smallest such id on a tie; -1 where no
            pixel sees the Gaussian, as where most of it is void.
        own: (N,) float32, summed weight on that id.
        total: (N,) float32, summed weight on all ids.
        zero: (N,) float32, summed weight on id 0.
    """

    label: NDArray[np.int32]
    own: NDArray[np.float32]
    total: NDArray[np.float32]
    zero: NDArray[np.float32]
