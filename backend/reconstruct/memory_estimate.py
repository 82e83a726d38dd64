"""Memory estimate of a reconstruction, so that a large one is refused with an error before it starts."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from backend import memory
from backend.reconstruct.schedule import SH_DEGREE, default_cap
from backend.scene.types import View
from protocol.errors import Unavailable

PIXEL = 1.25
"""Bytes per stored value of a photograph including its half-size copy; three values of colour, one of alpha, one of its
mask."""

COLUMN = 28
"""Bytes per value of a Gaussian: the value, two moments and a gradient of four each, and copies while densifying."""

DRAWN = {"cpu": 250, "cuda": 600}
"""Additional bytes per Gaussian while a view is drawn. On the CPU measured (docs/scaling.md); on CUDA computed from
gsplat's arrays: projections and their gradients, colours and their basis, ten tiles of 24 bytes to sort."""

VIEW = {"cpu": 120, "cuda": 500}
"""Bytes per pixel of the largest view while its loss is computed. On the CPU measured; on CUDA computed from the SSIM
maps that torch stores."""

SWEPT = 0.2
"""Largest size of the half-size photographs, as a share of the photographs."""

DISK = "disk"

SHARE = 3
"""Photographs stay in host memory, and are copied one per step, if they would take more than 1 / SHARE of the free
memory of a device."""


class MemoryEstimate(NamedTuple):
    """Bytes of the photographs; of the Gaussians with everything per Gaussian; of the largest view."""

    photographs: int
    gaussians: int
    view: int


def estimate_memory(
    views: Sequence[View],
    long_side: int,
    engine: str,
    cap: int | None = None,
    sh_degree: int | None = None,
    pixels_per_gaussian: int | None = None,
) -> MemoryEstimate:
    """Return the most memory that reconstructing from ``views`` takes.

    Args:
        long_side: of a photograph in training.
        engine: "cpu" or "cuda".
        cap, sh_degree, pixels_per_gaussian: of the Gaussians; None for the defaults of
            :mod:`backend.reconstruct.schedule`.
    """
    sizes = [view.camera.size_within(long_side) for view in views]
    pixels = [width * height for width, height in sizes]
    values = [3 + (view.mask_path is not None) + (view.transparent is not None) for view in views]
    cap = default_cap(sum(pixels), engine, pixels_per_gaussian) if cap is None else cap
    columns = 11 + 3 * ((SH_DEGREE[engine] if sh_degree is None else sh_degree) + 1) ** 2
    return MemoryEstimate(
        round(PIXEL * sum(p * v for p, v in zip(pixels, values, strict=True))),
        cap * (COLUMN * columns + DRAWN[engine]),
        max(pixels) * VIEW[engine],
    )


def place_photographs(wanted: MemoryEstimate, device: str, folder: Path, swept: bool = False, copies: int = 1) -> str:
    """Return where to keep the photographs, :data:`DISK`, "cpu" or ``device``, after checking that everything fits.

    The disk is used only if host memory is too small. That costs reads, and the memory used is the system's page cache,
    which is released when needed.

    Args:
        folder: where the photographs would be on disk.
        copies: number of processes that keep photographs, each on its own GPU or all on the CPU.
        swept: whether surfaces are searched in the photographs first, which copies the half-size ones into memory.

    Raises:
        Unavailable: if there is not enough memory.
    """
    remedy = "Use fewer or smaller photographs, or a machine with more memory."
    working = wanted.gaussians + wanted.view
    photographs = copies * wanted.photographs
    host = memory.free_host()
    if device == "cpu":
        taken, what = copies * working, "Reconstructing this scene"
    else:
        # Otherwise arrays in torch's cache, for example of a reconstruction before a refinement, would count as used.
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info()
        memory.require(working, free, "Reconstructing this scene on the GPU", remedy)
        if wanted.photographs <= min(free // SHARE, free - working):
            return device
        taken, what = 0, "Estimating surfaces from the photographs of this scene"
    if host is None or taken + photographs <= host:
        return "cpu"
    memory.require(max(taken, round(SWEPT * photographs) if swept else 0), host, what, remedy)
    room = shutil.disk_usage(folder).free
    if photographs > room:
        raise Unavailable(
            f"The photographs of this scene take {memory.gib(photographs)}: more than the free memory, "
            f"{memory.gib(max(0, host - taken))}, and the free disk space in {folder}, {memory.gib(room)}.",
            "Free some space on that disk, or use fewer or smaller photographs.",
        )
    return DISK
