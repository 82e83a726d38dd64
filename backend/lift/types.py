"""`Lift`: one instance label per Gaussian, with confidence and embedding."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocol.result.evidence import RegionEvidence


@dataclass(frozen=True)
class Lift:
    """The result of a lifting method.

    Attributes:
        labels: (N,) int32, instance of each Gaussian, 1 to K with the largest object first; 0 is background.
        confidence: (N,) float32, 0 to 1, share of the Gaussian's mask evidence that agrees with its label.
        views: (K + 1,) int32, number of views in which label k has a separate mask.
        embedding: (N, d) float32, or None for methods without an embedding.
        method: the method's name, as on the command line.
        settings: all settings of the run.
        regions: the evidence that corrections are computed from; None if it was not requested.
    """

    labels: NDArray[np.int32]
    confidence: NDArray[np.float32]
    views: NDArray[np.int32]
    method: str
    settings: dict[str, float | int | str | bool] = field(default_factory=dict)
    embedding: NDArray[np.float32] | None = None
    regions: RegionEvidence | None = None


class Parts(NamedTuple):
    """Which part belongs to which object.

    Attributes:
        part: (N,) int32, the part of each Gaussian, 1 to P; 0 for background and for objects without parts.
        whole: (P + 1,) int32, the object of each part; 0 for part 0.
    """

    part: NDArray[np.int32]
    whole: NDArray[np.int32]
