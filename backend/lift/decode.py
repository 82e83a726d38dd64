"""Codes or regions to labels: the plain way of UniC-Lift (sign bits), and by the evidence of the masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from backend.lift.background import background_share, present_background_share
from backend.lift.merge import contract, region_graph
from backend.lift.owners import fill_from_neighbours, mask_owners, presence, vote_by_masks
from backend.lift.votes import Evidence
from backend.render.types import Contributions

Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True)
class EvidenceSettings:
    """Settings of every method that decodes by evidence.

    Attributes:
        maybe_background: Gaussians with this share of their weight on mask 0, or more, are background from the start.
            High, as dropped detections look like background.
        tau: regions are one object if masks hold them together in more than this share of the views showing both.
        background: Gaussians with this share on mask 0, or more, in the views where their object has a mask, are
            background in the end.
        presence: an object has a mask of its own in at least this share of the views that show it; what has fewer
            is a fragment or a false detection. A detector that misses three objects in ten still shows them in seven.
    """

    maybe_background: Share = 0.9
    tau: Share = 0.6
    background: Share = 0.65
    presence: Share = 0.35


def foreground(evidence: Evidence, settings: EvidenceSettings) -> NDArray[np.bool_]:
    """Return (N,) bool, the Gaussians that may belong to an object."""
    return evidence.seen & (background_share(evidence) < settings.maybe_background)


def by_evidence(
    means: NDArray[np.float32], evidence: Evidence, region: NDArray[np.int32], settings: EvidenceSettings
) -> NDArray[np.int32]:
    """Join regions that the masks keep calling one object, and give every Gaussian to an object or the background.

    Args:
        means: (N, 3) float32, centres; only for Gaussians that no view shows.
        evidence: the votes.
        region: (N,) int32, pure groups of Gaussians from 0; -1 for Gaussians in none.

    Returns:
        (N,) int32, clusters from 1 in no particular order; 0 is background.
    """
    possible = foreground(evidence, settings)
    cluster = _join(evidence, np.where(possible, region, -1).astype(np.int32), settings.tau)
    if not cluster.any():
        return cluster

    # Leftover Gaussians stand aside until the masks have their owners, and are then placed by their masks, not by
    # their neighbours: plain objects own few Gaussians, and beside a rich one their neighbours are another object's.
    owners = mask_owners(evidence, np.where(possible & (cluster == 0), -1, cluster).astype(np.int32))
    cluster = np.where(possible & (cluster == 0), vote_by_masks(evidence, owners), cluster).astype(np.int32)

    # Whole clusters carry more and cleaner votes than the regions they grew from: pieces that stayed apart now join.
    cluster = _join(evidence, cluster - 1, settings.tau)
    owners = mask_owners(evidence, np.where(possible & (cluster == 0), -1, cluster).astype(np.int32))
    cluster = np.where(possible, vote_by_masks(evidence, owners), 0).astype(np.int32)

    cluster = _without_fragments(evidence, cluster, settings.presence)
    share = present_background_share(evidence, cluster)
    named = vote_by_masks(evidence, mask_owners(evidence, cluster))
    cluster = np.where(share < settings.background, np.where(named > 0, named, cluster), 0).astype(np.int32)
    cluster = _without_fragments(evidence, cluster, settings.presence)
    return fill_from_neighbours(means, cluster, evidence.seen)


def _join(evidence: Evidence, region: NDArray[np.int32], tau: float) -> NDArray[np.int32]:
    """Return (N,) int32 clusters from 1 of the regions (N,) numbered from 0; 0 for Gaussians in none."""
    if region.max(initial=-1) < 0:
        return np.zeros(len(region), np.int32)
    group = contract(region_graph(evidence, region), tau)
    return np.where(region >= 0, group[np.maximum(region, 0)] + 1, 0).astype(np.int32)


def _without_fragments(evidence: Evidence, cluster: NDArray[np.int32], least: float) -> NDArray[np.int32]:
    fragment = presence(evidence, cluster, mask_owners(evidence, cluster)) < least
    return np.where(fragment[cluster], 0, cluster).astype(np.int32)


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
