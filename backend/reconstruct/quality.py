"""Quality of a reconstruction: scores, and a warning with the likely cause if it is bad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.poses import Placement
from backend.reconstruct.held_out import held_out
from backend.reconstruct.solidity import FOG, Solidity, solidity
from backend.scene.split import evenly_spread
from backend.scene.types import View
from protocol.splats import Splats

TRAINING_VIEWS = 16
"""Training views for the PSNR, enough for a comparison with held-out ones."""

GAP = 6.0
"""Largest gap in dB between training and held-out photographs. Good reconstructions of real captures have 1 to 3; one
whose labels were useless had 8."""

FAR_OFF = 2.0
"""Reprojection error in pixels above which poses are the likely cause of fog."""

FEW_VIEWS = 25
"""Training views below which their number is the likely cause: surfaces are then seen from two or three places."""


@dataclass(frozen=True)
class Quality:
    """Quality of a reconstruction.

    Attributes:
        solidity: distribution of light along rays, in the held-out views, or in training views if none is held out.
        psnr_training, psnr_held_out: mean over views in dB; None without such views.
    """

    solidity: Solidity
    psnr_training: float | None
    psnr_held_out: float | None

    @property
    def gap(self) -> float:
        """How much worse held-out photographs are, in dB; 0 if none is held out."""
        if self.psnr_training is None or self.psnr_held_out is None:
            return 0.0
        return self.psnr_training - self.psnr_held_out

    def as_dict(self) -> dict[str, float | None]:
        """Return the values for the report."""
        return {
            "surface_light": round(self.solidity.surface_light, 3),
            "strongest": round(self.solidity.strongest, 3),
            "opacity": round(self.solidity.opacity, 3),
            "psnr_training": None if self.psnr_training is None else round(self.psnr_training, 2),
        }


def measure(
    splats: Splats, train: Sequence[View], test: Sequence[View], device: str, seed: int, photographs: bool = True
) -> Quality:
    """Measure the quality of Gaussians in views.

    Args:
        photographs: whether to compare with photographs; given Gaussians need not match them.
    """
    chosen = evenly_spread(train, TRAINING_VIEWS)
    return Quality(
        solidity(splats, test or train, device, seed),
        float(np.mean(held_out(splats, chosen, device))) if photographs else None,
        float(np.mean(held_out(splats, test, device))) if photographs and test else None,
    )


def doubt(found: Quality, views: int, placement: Placement | None) -> str | None:
    """Return a warning for the user if the reconstruction is bad; else None.

    Args:
        views: number of training photographs.
        placement: the check of the poses, if there was one.
    """
    if not found.solidity.is_fog and found.gap <= GAP:
        return None
    if found.solidity.is_fog:
        said = (
            f"The reconstruction has no clear surfaces: {found.solidity.surface_light:.0%} of the light comes from "
            f"within 1 % of a surface; a good one has at least {1.5 * FOG:.0%}"
        )
    else:
        said = f"Held-out photographs are {found.gap:.1f} dB worse than training photographs"
    return f"{said}, so labels may be wrong even where renders look right. {_likely_cause(views, placement)}"


def _likely_cause(views: int, placement: Placement | None) -> str:
    if placement is not None and placement.error > FAR_OFF:
        return (
            f"Likely cause: the poses have an error of {placement.error:.1f} pixels. "
            "Compute them again, for example with COLMAP."
        )
    if views < FEW_VIEWS:
        return (
            f"Likely cause: {views} photographs are too few. Take more, all around the scene and from several heights."
        )
    return (
        "Likely causes: blurred photographs, moving objects or shadows, or a side that only one photograph shows. "
        "Remove these photographs, or take more of that side."
    )
