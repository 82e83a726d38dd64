"""`consensus`: supervoxels by agreement of the masks, joined if the masks contain them together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.lift.consensus.objects import foreground, objects_from_regions
from backend.lift.consensus.settings import ConsensusSettings
from backend.lift.consensus.supervoxels import supervoxels
from backend.lift.evidence.votes import Evidence
from backend.lift.task import Labelling, LiftTask
from protocol.splats import Splats


def run(task: LiftTask, settings: ConsensusSettings) -> Labelling:
    """Label the Gaussians by consensus of the masks."""
    labels = consensus(task.splats, task.evidence, settings)
    task.progress("lift", 1.0, f"{labels.max(initial=0)} objects")
    return Labelling(labels)


def consensus(splats: Splats, evidence: Evidence, settings: ConsensusSettings | None = None) -> NDArray[np.int32]:
    """Return (N,) int32 labels, 0 for background, computed from the votes and the centres and colours."""
    settings = settings or ConsensusSettings()
    region = supervoxels(splats.means, evidence, foreground(evidence, settings), settings.voxel, settings.smallest)
    return objects_from_regions(splats, evidence, region, settings)
