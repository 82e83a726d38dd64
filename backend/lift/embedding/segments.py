"""Means of rendered embeddings over the segments of a view."""

from __future__ import annotations

import torch
from torch import Tensor


def segment_means(rendered: Tensor, segment: Tensor, segments: int) -> tuple[Tensor, Tensor]:
    """Return the (S, d) mean embedding m of each segment and its (S,) number of pixels."""
    count = torch.zeros(segments, dtype=rendered.dtype, device=rendered.device)
    count = count.index_add(0, segment, torch.ones_like(segment, dtype=rendered.dtype))
    total = torch.zeros(segments, rendered.shape[1], dtype=rendered.dtype, device=rendered.device)
    return total.index_add(0, segment, rendered) / count.clamp(min=1)[:, None], count
