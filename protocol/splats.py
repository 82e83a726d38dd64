"""`Splats`: the columns of N Gaussians, the type that all packages share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadSplats

Floats = NDArray[np.float32]

SH_COUNTS = (1, 4, 9, 16)
"""Coefficients per colour channel at spherical-harmonic degree 0, 1, 2, 3."""


@dataclass(frozen=True)
class Splats:
    """N Gaussians in the frame of the capture, in the conventions of the INRIA PLY.

    Values are stored as in the file, not activated, so that reading and writing returns the same bits; ``sizes`` and
    ``alphas`` return the activated values.

    Attributes:
        means: (N, 3) float32, centres in scene units.
        quats: (N, 4) float32, rotation as w, x, y, z; need not be normalised.
        scales: (N, 3) float32, natural logarithm of the standard deviation along each local axis.
        opacities: (N,) float32, logit of the opacity.
        sh: (N, K, 3) float32, spherical-harmonic coefficients of the colour, K = 1, 4, 9 or 16;
            ``sh[:, 0]`` is the constant term (sh0).
        extra: further named columns, each (N,) of any numeric dtype, such as ``label``.

    Raises:
        BadSplats: if a column has another shape.
    """

    means: Floats
    quats: Floats
    scales: Floats
    opacities: Floats
    sh: Floats
    extra: dict[str, NDArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.means)
        expected = {"means": (n, 3), "quats": (n, 4), "scales": (n, 3), "opacities": (n,)}
        for name, shape in expected.items():
            got = getattr(self, name).shape
            if got != shape:
                raise BadSplats(f"Splats column {name} has shape {got}, expected {shape}.")
        if self.sh.ndim != 3 or self.sh.shape[0] != n or self.sh.shape[1] not in SH_COUNTS or self.sh.shape[2] != 3:
            raise BadSplats(f"Splats column sh has shape {self.sh.shape}, expected ({n}, 1|4|9|16, 3).")
        for name, column in self.extra.items():
            if column.shape != (n,):
                raise BadSplats(f"Splats column {name} has shape {column.shape}, expected ({n},).")

    def __len__(self) -> int:
        return len(self.means)

    @property
    def sh_degree(self) -> int:
        return SH_COUNTS.index(self.sh.shape[1])

    @property
    def sizes(self) -> Floats:
        """(N, 3) float32, standard deviations in scene units."""
        return np.exp(self.scales)

    @property
    def alphas(self) -> Floats:
        """(N,) float32, opacities between 0 and 1."""
        with np.errstate(over="ignore"):  # exp of a very transparent logit is inf, and 1 / inf is the right answer
            return 1.0 / (1.0 + np.exp(-self.opacities))

    @property
    def finite(self) -> NDArray[np.bool_]:
        """(N,) bool, whether all values of a Gaussian are finite."""
        columns = (self.means, self.quats, self.scales, self.opacities, self.sh)
        return np.logical_and.reduce([np.isfinite(c).all(axis=tuple(range(1, c.ndim))) for c in columns])

    def pick(self, rows: NDArray) -> Splats:
        """Return the Gaussians of ``rows``, a boolean mask (N,) or an index array."""
        return Splats(
            self.means[rows],
            self.quats[rows],
            self.scales[rows],
            self.opacities[rows],
            self.sh[rows],
            {name: column[rows] for name, column in self.extra.items()},
        )

    def with_columns(self, **columns: NDArray) -> Splats:
        """Return the same Gaussians with named extra columns added or replaced."""
        return replace(self, extra={**self.extra, **columns})

    def without_columns(self) -> Splats:
        """Return the same Gaussians without extra columns: a standard 3DGS splat."""
        return replace(self, extra={})


def merge(parts: Sequence[Splats]) -> Splats:
    """Concatenate the Gaussians of all ``parts``.

    SH coefficients are zero-padded to the highest degree. Extra columns that every part has are kept, in numpy's common
    type.

    Raises:
        BadSplats: if there are no parts.
    """
    if not parts:
        raise BadSplats("There are no Gaussians to merge.", "Choose at least one object.")
    terms = max(part.sh.shape[1] for part in parts)
    shared = [name for name in parts[0].extra if all(name in part.extra for part in parts)]
    return Splats(
        np.concatenate([part.means for part in parts]),
        np.concatenate([part.quats for part in parts]),
        np.concatenate([part.scales for part in parts]),
        np.concatenate([part.opacities for part in parts]),
        np.concatenate([np.pad(part.sh, ((0, 0), (0, terms - part.sh.shape[1]), (0, 0))) for part in parts]),
        {name: np.concatenate([part.extra[name] for part in parts]) for name in shared},
    )
