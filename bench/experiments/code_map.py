"""The paper's decode of a view by the codes of its pixels, to compare `unic-lift` with."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from backend.lift.unic_lift.decode import bits, nearest_codes
from backend.lift.unic_lift.trained import Trained
from backend.render.types import Contributions

Blend = Literal["values", "sigmoids", "signs"]


def code_map(
    contributions: Contributions,
    found: Trained,
    shape: tuple[int, int],
    blend: Blend,
    frequent: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Return the (H, W) codes of rendered embeddings plus 1, 0 where the semantic value says background.

    Args:
        contributions: of all H W pixels in order.
        found: the embedding, and the semantic value if it was trained; without it no pixel is background.
        shape: H, W.
        blend: what is rendered: "values" is the paper's; "sigmoids" blends those of each Gaussian, as `squash=gaussian`
            trains them; "signs" blends signs, so all bits are equally strong, and background Gaussians carry none.
        frequent: (F,) codes to which all others are led; None leaves them.
    """
    shown = rendered_values(found, blend)
    codes = np.empty(len(contributions.pixels), np.int64)
    for begin in range(0, len(codes), 16384):
        part = slice(begin, begin + 16384)
        rendered = np.einsum("pk,pkd->pd", contributions.weights[part], shown[contributions.ids[part]])
        d = found.embedding.shape[1]
        code = bits(rendered[:, :d])
        code = code if frequent is None else nearest_codes(code, frequent)
        codes[part] = code + 1 if found.semantic is None else np.where(rendered[:, d] > 0, code + 1, 0)
    return codes.reshape(shape)


def rendered_values(found: Trained, blend: Blend) -> NDArray[np.float32]:
    """Return (N, d) float32, or (N, d + 1) with the semantic value last: what is blended in place of colour."""
    values, semantic = found.embedding, found.semantic
    if blend == "sigmoids":
        values = np.tanh(values / 2)
    if blend == "signs":
        values = np.sign(values)
        if semantic is not None:
            values = values * (semantic > 0)[:, None].astype(np.float32)
            semantic = np.sign(semantic)
    return values if semantic is None else np.column_stack([values, semantic])
