"""Usable Gaussians of a file: meaningful infinite values are replaced, invalid rows are dropped."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadSplats
from protocol.splats import Splats

SMALLEST = np.float32(-20)
"""Log-scale that replaces minus infinity, which 2DGS writes for a Gaussian without extent along an axis."""
CERTAIN = np.float32(15)
"""Logit that replaces infinity for an opacity of 1; the error is 3e-7."""


@dataclass
class Tally:
    """Counts of Gaussians with replaced values, and of unusable Gaussians by reason."""

    bounded: int = 0
    not_finite: int = 0
    unturned: int = 0


def repair_block(splats: Splats, rows: slice, tally: Tally) -> NDArray[np.bool_]:
    """Return which Gaussians of ``rows`` are usable, after replacing meaningful infinities by finite values.

    A log-scale of minus infinity means size 0, an infinite logit opacity 0 or 1; both are replaced in place. A Gaussian
    that is still not finite, or has an all-zero quaternion, is unusable.
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


def usable_splats(splats: Splats, usable: NDArray[np.bool_], tally: Tally, path: Path) -> Splats:
    """Return the usable Gaussians, with warnings about dropped ones and about replaced values.

    Raises:
        BadSplats: if there were Gaussians and none is usable.
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
