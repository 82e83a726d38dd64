"""Codes or regions to labels: the plain way of UniC-Lift (sign bits), and by the evidence of the masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from backend.lift.agreement import agreement
from backend.lift.background import background_share
from backend.lift.merge import contract, region_graph
from backend.lift.owners import fill_from_neighbours, mask_owners, presence
from backend.lift.smoothing import smoothed, surface
from backend.lift.steps import steps_of_smoothing
from backend.lift.votes import Evidence
from backend.render.types import Contributions
from protocol.splats import Splats

Share = Annotated[float, Meta(ge=0, le=1)]

UNDECIDED = -1
"""Of Gaussians that count for no cluster, nor for the background, until they choose one."""


@dataclass(frozen=True)
class EvidenceSettings:
    """Settings of every method that decodes by evidence.

    Attributes:
        maybe_background: Gaussians with this share of their weight on mask 0, or more, are background from the start.
            High, as dropped detections look like background.
        tau: regions are one object if masks hold them together in more than this share of the views showing both.
        presence: an object has a mask of its own in at least this share of the views that show it; what has fewer
            is a fragment or a false detection. Low, as small objects behind others lose most of their masks to noise.
        smoothing: steps of smoothing along surfaces of one colour (:mod:`backend.lift.smoothing`); 0 for none, -1 for
            as many as let half of the views foretell the other half best (:mod:`backend.lift.steps`).
    """

    maybe_background: Share = 0.9
    tau: Share = 0.6
    presence: Share = 0.2
    smoothing: Annotated[int, Meta(ge=-1, le=1000)] = -1


def foreground(evidence: Evidence, settings: EvidenceSettings) -> NDArray[np.bool_]:
    """Return (N,) bool, the Gaussians that may belong to an object."""
    return evidence.seen & (background_share(evidence) < settings.maybe_background)


def by_evidence(
    splats: Splats, evidence: Evidence, region: NDArray[np.int32], settings: EvidenceSettings
) -> NDArray[np.int32]:
    """Join regions that the masks keep calling one object, and give every Gaussian to an object or the background.

    First regions are joined. Then, in rounds, every Gaussian and its neighbours of the same colour choose the cluster
    that their masks agree with most, the background being one of them; clusters without masks of their own are given
    up, and those that whole clusters' votes, which are many and clean, show to be one object are joined. The rounds
    end when no cluster is given up or joined.

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
    # Gaussians in no region stand aside: they may turn out to be of an object or of the background.
    background = evidence.seen & ~possible
    cluster = np.where((cluster > 0) | background, cluster, UNDECIDED).astype(np.int32)
    steps = settings.smoothing if settings.smoothing >= 0 else steps_of_smoothing(evidence, cluster, graph)
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
    """Return the clusters (N,) int32 with those that are one object joined; 0 stays."""
    return _numbered(_join(evidence, cluster - 1, tau))


def _without_fragments(evidence: Evidence, cluster: NDArray[np.int32], least: float) -> NDArray[np.int32]:
    """Return the clusters (N,) int32 with UNDECIDED in place of those that have too few masks of their own."""
    fragment = presence(evidence, cluster, mask_owners(evidence, cluster)) < least
    return _numbered(np.where(fragment[cluster], UNDECIDED, cluster))


def _numbered(cluster: NDArray[np.integer]) -> NDArray[np.int32]:
    """Return (N,) int32 with the clusters above 0 renumbered 1, 2, ..., none left out."""
    present = np.bincount(np.maximum(cluster, 0)) > 0
    present[0] = False
    return np.where(cluster > 0, np.cumsum(present)[np.maximum(cluster, 0)], cluster).astype(np.int32)


def bits(embedding: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the codes of embeddings (..., d), d at most 62: ``sum over k of 1[sigmoid(v_k) > 0.5] 2^(k-1)``.

    A sigmoid is above 0.5 where its argument is above 0, so these are the bits of the signs.
    """
    return (embedding > 0) @ (1 << np.arange(embedding.shape[-1], dtype=np.int64))


def by_bits(codes: NDArray[np.int64], evidence: Evidence) -> NDArray[np.int32]:
    """Return (N,) int32 labels from 1, one per code, as the paper decodes, without any merge.

    The paper does not say which code is the background: here it is the one that holds the most weight on mask 0.
    """
    _, code = np.unique(codes, return_inverse=True)
    zero = np.bincount(evidence.gaussian, evidence.zero, evidence.gaussians)
    background = int(np.bincount(code, zero).argmax())
    return np.where(code == background, 0, code + 1).astype(np.int32)


def code_map(contributions: Contributions, embedding: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Return the (H, W) codes of rendered embeddings: the paper's decode of a view, pixel by pixel.

    Args:
        contributions: of all H W pixels in order.
        embedding: (N, d) float32.
        shape: H, W.
    """
    codes = np.empty(len(contributions.pixels), np.int64)
    for begin in range(0, len(codes), 16384):
        part = slice(begin, begin + 16384)
        rendered = np.einsum("pk,pkd->pd", contributions.weights[part], embedding[contributions.ids[part]])
        codes[part] = bits(rendered)
    return codes.reshape(shape)


def largest_first(label: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return (N,) int32 with labels above 0 renumbered 1 to K by falling count of Gaussians."""
    ids, inverse, count = np.unique(label, return_inverse=True, return_counts=True)
    order = np.lexsort((ids, -count))
    order = order[ids[order] > 0]
    number = np.zeros(len(ids), np.int32)
    number[order] = np.arange(1, len(order) + 1)
    return number[inverse]
