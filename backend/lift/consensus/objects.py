"""Turns regions into objects: joined, smoothed and filtered according to the masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.lift.consensus.fill import fill_from_neighbours
from backend.lift.consensus.merging import contract, region_graph
from backend.lift.consensus.settings import EvidenceSettings
from backend.lift.consensus.smoothing import smoothed, surface
from backend.lift.consensus.smoothing_steps import choose_smoothing_steps
from backend.lift.evidence.agreement import agreement
from backend.lift.evidence.background import background_share
from backend.lift.evidence.mask_clusters import cluster_of_each_mask, presence
from backend.lift.evidence.votes import Evidence
from protocol.splats import Splats

UNDECIDED = -1
"""Marks Gaussians that belong to no cluster and not to the background until they choose one."""


def foreground(evidence: Evidence, settings: EvidenceSettings) -> NDArray[np.bool_]:
    """Return (N,) bool, the Gaussians that may belong to an object."""
    return evidence.seen & (background_share(evidence) < settings.maybe_background)


def objects_from_regions(
    splats: Splats, evidence: Evidence, region: NDArray[np.int32], settings: EvidenceSettings
) -> NDArray[np.int32]:
    """Join regions that the masks show as one object, and assign every Gaussian to an object or the background.

    First regions are joined. Then, in rounds, every Gaussian and its neighbours of the same colour choose the cluster
    that agrees best with their masks, where the background is one of the clusters. Clusters without masks of their own
    are dissolved, and clusters that are one object according to their combined votes are joined. The rounds end when no
    cluster is dissolved or joined.

    Args:
        splats: N Gaussians; their centres and colours are used.
        evidence: the votes.
        region: (N,) int32, pure groups of Gaussians from 0; -1 for Gaussians in none.

    Returns:
        (N,) int32, clusters from 1 in no particular order; 0 is background.
    """
    possible = foreground(evidence, settings)
    cluster = _join(evidence, np.where(possible, region, -1).astype(np.int32), settings.tau)
    if not cluster.any():
        return cluster
    graph = surface(splats, evidence.seen)
    # Gaussians in no region stay undecided: they may belong to an object or to the background.
    background = evidence.seen & ~possible
    cluster = np.where((cluster > 0) | background, cluster, UNDECIDED).astype(np.int32)
    steps = settings.smoothing if settings.smoothing >= 0 else choose_smoothing_steps(evidence, cluster, graph)
    while True:
        chosen = _numbered(smoothed(agreement(evidence, cluster), graph, steps))
        cluster = _without_fragments(evidence, chosen, settings.presence)
        if cluster.max() == chosen.max():
            cluster = _joined(evidence, chosen, settings.tau)
        if cluster.max() == chosen.max():
            return fill_from_neighbours(splats.means, chosen, evidence.seen)


def _join(evidence: Evidence, region: NDArray[np.int32], tau: float) -> NDArray[np.int32]:
    """Return (N,) int32 clusters from 1 of the regions (N,) numbered from 0; 0 for Gaussians in none."""
    if region.max(initial=-1) < 0:
        return np.zeros(len(region), np.int32)
    group = contract(region_graph(evidence, region), tau)
    return np.where(region >= 0, group[np.maximum(region, 0)] + 1, 0).astype(np.int32)


def _joined(evidence: Evidence, cluster: NDArray[np.int32], tau: float) -> NDArray[np.int32]:
    """Return the clusters (N,) int32 after joining those that are one object; 0 stays."""
    return _numbered(_join(evidence, cluster - 1, tau))


def _without_fragments(evidence: Evidence, cluster: NDArray[np.int32], least: float) -> NDArray[np.int32]:
    """Return the clusters (N,) int32 with UNDECIDED instead of clusters with too few separate masks."""
    fragment = presence(evidence, cluster, cluster_of_each_mask(evidence, cluster)) < least
    return _numbered(np.where(fragment[cluster], UNDECIDED, cluster))


def _numbered(cluster: NDArray[np.integer]) -> NDArray[np.int32]:
    """Return (N,) int32 with the clusters above 0 renumbered contiguously from 1."""
    present = np.bincount(np.maximum(cluster, 0)) > 0
    present[0] = False
    return np.where(cluster > 0, np.cumsum(present)[np.maximum(cluster, 0)], cluster).astype(np.int32)
