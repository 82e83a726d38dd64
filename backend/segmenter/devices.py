"""Limits of a model on a device: precision, batch size, memory."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from backend.memory import free_host

PHOTOGRAPHS_AT_ONCE = {"cpu": 1, "cuda": 4}
"""Batch size; one photograph occupies a CPU completely."""


def half_precision(device: str) -> AbstractContextManager[object]:
    """Compute matrix products in 16 bits on a GPU, in bfloat16 if supported; there is no gain on a CPU.

    Points and masks stay in float32, because 16 bits would move points by pixels.
    """
    if device == "cpu":
        return nullcontext()
    return torch.autocast(device, torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16)


def free_memory(device: str) -> int | None:
    """Return the free memory of the device in bytes, or None if unknown."""
    return free_host() if device == "cpu" else torch.cuda.mem_get_info()[0]
