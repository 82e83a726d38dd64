"""Usable Gaussians of a file: some infinite values have a meaning and are kept, some rows are invalid and dropped."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadSplats
from protocol.splats import Splats

SMALLEST = np.float32(-20)
"""Log-scale of a Gaussian without extent along an axis, which 2DGS writes as minus infinity."""
CERTAIN = np.float32(15)
"""Logit of an opacity of 1: it is off by 3e-7."""


@dataclass
class Tally:
    """How many Gaussians were kept with another value, and how many cannot be used for which reason."""

    bounded: int = 0
    not_finite: int = 0
    unturned: int = 0


def settle(splats: Splats, rows: slice, tally: Tally) -> NDArray[np.bool_]:
    """Return which Gaussians of ``rows`` can be used, after giving infinities that mean something a finite value.

    A log-scale of minus infinity is a size of 0, an infinite logit an opacity of 0 or 1: these are changed in place.
    A Gaussian that is not finite then, or whose quaternion is all zeros, cannot be used.
    """
    scales, opacities = splats.scales[rows], splats.opacities[rows]
    flat, certain = np.isneginf(scales), np.isinf(opacities)
    if flat.any() or certain.any():
        tally.bounded += int(np.count_nonzero(flat.any(1) | certain))
        scales[flat] = SMALLEST
        opacities[certain] = np.sign(opacities[certain]) * CERTAIN
    usable = np.ones(len(opacities), bool)
    for values in (splats.means, splats.quats, splats.scales, splats.opacities, splats.sh):
        finite = np.isfinite(values[rows])
        if not finite.all():
            usable &= finite.reshape(len(usable), -1).all(1)
    turned = splats.quats[rows].any(1)
    tally.not_finite += int(np.count_nonzero(~usable))
    tally.unturned += int(np.count_nonzero(usable & ~turned))
    return usable & turned


def usable_ones(splats: Splats, usable: NDArray[np.bool_], tally: Tally, path: Path) -> Splats:
    """Return the Gaussians that can be used, with warnings about the others and about values that were changed.

    Raises:
        BadSplats: if there were Gaussians and none can be used.
    """
    if len(splats) and not usable.any():
        raise BadSplats(
            f"None of the {len(splats)} Gaussians of {path} is usable: {tally.not_finite} are not finite, "
            f"{tally.unturned} have a zero quaternion.",
            "Copy or export it again.",
        )
    for count, said in (
        (tally.bounded, "with size 0 or with opacity 0 or 1; they were kept, with a log-scale of "
         f"{SMALLEST:g} or a logit of {CERTAIN:g}"),
        (tally.not_finite, "with values that are not finite; they were dropped"),
        (tally.unturned, "with a zero quaternion; they were dropped"),
    ):  # fmt: skip
        if count:
            warnings.warn(f"{path} has {count} Gaussians {said}.", stacklevel=3)
    return splats if usable.all() else splats.pick(usable)
