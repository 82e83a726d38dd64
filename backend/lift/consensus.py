"""`consensus`: no training. Supervoxels by agreement of the masks, joined where the masks hold them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from backend.lift.decode import EvidenceSettings, by_evidence, foreground
from backend.lift.job import Job, Labelling
from backend.lift.supervoxels import supervoxels
from backend.lift.votes import Evidence
from protocol.splats import Splats


@dataclass(frozen=True)
class ConsensusSettings(EvidenceSettings):
    """Settings of `consensus`.

    Attributes:
        voxel: edge of the voxels that bound a supervoxel, in typical distances between neighbouring Gaussians.
        smallest: Gaussians in a supervoxel, at least; smaller ones carry too few votes to be compared.
    """

    voxel: Annotated[float, Meta(gt=0, le=1000)] = 4.0
    smallest: Annotated[int, Meta(ge=1)] = 5


def run(job: Job, settings: ConsensusSettings) -> Labelling:
    """Label by consensus of the masks."""
    labels = consensus(job.splats, job.evidence, settings)
    job.progress("lift", 1.0, f"{labels.max(initial=0)} objects")
    return Labelling(labels)


def consensus(splats: Splats, evidence: Evidence, settings: ConsensusSettings | None = None) -> NDArray[np.int32]:
    """Return (N,) int32 labels, 0 for background, from the votes and the centres and colours of the Gaussians."""
    settings = settings or ConsensusSettings()
    region = supervoxels(splats.means, evidence, foreground(evidence, settings), settings.voxel, settings.smallest)
    return by_evidence(splats, evidence, region, settings)
