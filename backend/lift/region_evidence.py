"""Summarises the votes over small regions that do not cross the edges of objects, for later corrections."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import triu

from backend.lift.consensus.merging import region_graph
from backend.lift.consensus.objects import foreground
from backend.lift.consensus.settings import ConsensusSettings
from backend.lift.consensus.supervoxels import supervoxels, voxel_codes
from backend.lift.evidence.mask_clusters import cluster_of_each_mask, presence
from backend.lift.evidence.votes import Evidence
from protocol.result.evidence import RegionEvidence

CELLS_ALONG = 32
"""Voxels along the longest side of the scene, for Gaussians in no supervoxel."""
LEAST_ATTRACTION = 0.5
"""Pairs of regions with less are dropped: fewer than one view has them in one mask, and they would be most of the
file."""


def region_evidence(
    means: NDArray[np.float32], evidence: Evidence, labels: NDArray[np.int32], finite: NDArray[np.bool_]
) -> RegionEvidence:
    """Return the evidence on regions of Gaussians of one label.

    Regions are the supervoxels of the consensus, cut where labels change. Gaussians in no supervoxel are grouped by
    voxels.

    Args:
        means: (F, 3) float32, centres of the finite Gaussians.
        evidence: their votes.
        labels: (F,) int32, the final labels.
        finite: (N,) bool, which of N Gaussians these are.
    """
    settings = ConsensusSettings()
    fine = supervoxels(means, evidence, foreground(evidence, settings), settings.voxel, settings.smallest)
    coarse = voxel_codes(means, float(np.ptp(means, axis=0).max()) / CELLS_ALONG)
    key = np.where(fine >= 0, fine, fine.max(initial=-1) + 1 + np.unique(coarse, return_inverse=True)[1])
    pairs, number = np.unique(np.stack([key, labels]), axis=1, return_inverse=True)
    number = number.ravel().astype(np.int32)
    graph = region_graph(evidence, number)
    attraction = triu(graph.attraction, 1).tocoo()
    kept = attraction.data >= LEAST_ATTRACTION
    region = np.full(len(finite), -1, np.int32)
    region[finite] = number
    return RegionEvidence(
        region,
        pairs[1].astype(np.int32),
        attraction.row[kept].astype(np.int32),
        attraction.col[kept].astype(np.int32),
        attraction.data[kept].astype(np.float32),
        graph.visible > 0,
        presence(evidence, labels, cluster_of_each_mask(evidence, labels)).astype(np.float32),
        np.array(settings.tau),
    )
