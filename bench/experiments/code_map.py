"""The paper's decode of a view by the codes of its pixels, to compare `unic-lift` with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.lift.unic_lift.decode import bits
from backend.render.types import Contributions


def code_map(contributions: Contributions, embedding: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Return the (H, W) codes of rendered embeddings: the paper's decode of a view, pixel by pixel.

    Args:
        contributions: of all H W pixels in order.
        embedding: (N, d) float32.
        shape: H, W.
    """
    codes = np.empty(len(contributions.pixels), np.int64)
    for begin in range(0, len(codes), 16384):
        part = slice(begin, begin + 16384)
        rendered = np.einsum("pk,pkd->pd", contributions.weights[part], embedding[contributions.ids[part]])
        codes[part] = bits(rendered)
    return codes.reshape(shape)
