"""Memory estimate of a reconstruction, made before it begins, so that it is refused with an error and not killed."""

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
"""Bytes of a stored value of a photograph with its half-size copy; three values of colour and one of its mask."""

COLUMN = 28
"""Bytes of a value of a Gaussian: itself, two moments and a gradient of four each, and copies while densifying."""

DRAWN = {"cpu": 250, "cuda": 600}
"""Further bytes of a Gaussian while a view is drawn. On the CPU as measured (docs/scaling.md); on CUDA counted from
gsplat's arrays: projections and their gradients, colours and their basis, ten tiles to sort of 24 bytes."""

VIEW = {"cpu": 120, "cuda": 500}
"""Bytes of a pixel of the largest view while its loss is taken. On the CPU as measured; on CUDA counted from the maps
that torch keeps of SSIM."""

SWEPT = 0.2
"""Part of the bytes of the photographs that those of half size are, at most."""

DISK = "disk"

SHARE = 3
"""Photographs stay in host memory, and cross one a step, where they would take more of a device's than one part in
this many of what is free."""


class MemoryEstimate(NamedTuple):
    """Bytes of the photographs; of the Gaussians, all that goes with them included; of the largest view."""

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
    """Return what reconstructing from ``views`` takes at most.

    Args:
        long_side: of a photograph as it is trained on.
        engine: "cpu" or "cuda".
        cap, sh_degree, pixels_per_gaussian: of the Gaussians; None for what :mod:`backend.reconstruct.schedule` sets.
    """
    sizes = [view.camera.size_within(long_side) for view in views]
    pixels = [width * height for width, height in sizes]
    values = [4 if view.mask_path is not None else 3 for view in views]
    cap = default_cap(sum(pixels), engine, pixels_per_gaussian) if cap is None else cap
    columns = 11 + 3 * ((SH_DEGREE[engine] if sh_degree is None else sh_degree) + 1) ** 2
    return MemoryEstimate(
        round(PIXEL * sum(p * v for p, v in zip(pixels, values, strict=True))),
        cap * (COLUMN * columns + DRAWN[engine]),
        max(pixels) * VIEW[engine],
    )


def place_photographs(wanted: MemoryEstimate, device: str, folder: Path, swept: bool = False, copies: int = 1) -> str:
    """Return where the photographs go, :data:`DISK`, "cpu" or ``device``, having made sure that everything fits.

    On the disk is only what host memory cannot hold. It costs reading, and the memory that it takes is the system's
    own, which others get when they need it.

    Args:
        folder: where the photographs would lie on disk.
        copies: how many processes keep photographs, each on a GPU of its own or all on the CPU.
        swept: whether surfaces are sought in the photographs first, which copies those of half size into memory.

    Raises:
        Unavailable: if it does not.
    """
    remedy = "Use fewer or smaller photographs, or a machine with more memory."
    working = wanted.gaussians + wanted.view
    photographs = copies * wanted.photographs
    host = memory.free_host()
    if device == "cpu":
        taken, what = copies * working, "Reconstructing this scene"
    else:
        # What torch keeps of freed arrays, as of a reconstruction before a refinement, counts as taken otherwise.
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
