"""What a model may take of the device: precision, photographs at once, memory."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from backend.memory import free_host

PHOTOGRAPHS_AT_ONCE = {"cpu": 1, "cuda": 4}
"""A CPU is busy with one."""


def half_precision(device: str) -> AbstractContextManager[object]:
    """Let matrices be multiplied in 16 bits on a GPU, bfloat16 where it has it; on a CPU that gains nothing.

    Points and masks stay in float32: 16 bits would move a point by pixels.
    """
    if device == "cpu":
        return nullcontext()
    return torch.autocast(device, torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16)


def free_memory(device: str) -> int | None:
    """Return the free bytes of the device's memory, or None where nobody knows."""
    return free_host() if device == "cpu" else torch.cuda.mem_get_info()[0]
