"""The votes for overlapping masks: each layer of a view votes like a separate view."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from backend.lift.evidence.gather import Voter, gather_evidence
from backend.lift.evidence.views import LayeredView, MaskedView, compact
from backend.lift.evidence.votes import Evidence
from backend.progress import Progress, silent


@dataclass(frozen=True)
class LayerVotes:
    """The votes of N Gaussians in V views for M masks, which may overlap.

    Attributes:
        evidence: as if each layer were a view; its masks are numbered 1 to M over all views.
        layer_view: (L,) int32, the view of each layer, in ascending order.
        mask_view: (M + 1,) int32, the view of each mask; -1 for mask 0.
        mask_id: (M + 1,) int32, the id of each mask in its view; 0 for mask 0.
        trust: (M + 1,) float32, the weight of each mask's votes, 0 to 1; 1 if masks have no scores.
        views: V.
    """

    evidence: Evidence
    layer_view: NDArray[np.int32]
    mask_view: NDArray[np.int32]
    mask_id: NDArray[np.int32]
    trust: NDArray[np.float32]
    views: int

    @cached_property
    def area(self) -> NDArray[np.float64]:
        """(M + 1,) float64, the size of each mask in pixels."""
        return np.asarray(np.bincount(self.evidence.mask, self.evidence.own, self.evidence.masks + 1), np.float64)

    def finest(self, counted: NDArray[np.bool_]) -> Evidence:
        """Return one vote per Gaussian and view, for the smallest mask that surely contains it; else for none.

        Args:
            counted: (M + 1,) bool, masks that are considered.
        """
        evidence = self.evidence
        view = self.layer_view[evidence.view]
        cell = evidence.gaussian.astype(np.int64) * self.views + view
        size = np.where(evidence.sure & counted[evidence.mask], self.area[evidence.mask], np.inf)
        order = np.lexsort((evidence.mask, size, cell))
        first = order[np.append(True, np.diff(cell[order]) > 0)] if len(order) else order
        start = np.concatenate([[0], np.cumsum(np.bincount(evidence.gaussian[first], minlength=evidence.gaussians))])
        mask = np.where(np.isfinite(size[first]), evidence.mask[first], 0).astype(np.int32)
        own, total, zero = (column[first] for column in (evidence.own, evidence.total, evidence.zero))
        return Evidence(
            start, evidence.gaussian[first], view[first], mask, own, total, zero, self.mask_view, self.views
        )


def gather_layer_votes(
    voter: Voter, views: Iterable[LayeredView], gaussians: int, progress: Progress = silent, count: int = 0
) -> LayerVotes:
    """Rasterise the votes for every layer of every view."""
    layer_view: list[int] = []
    ids: list[NDArray[np.int32]] = [np.zeros(1, np.int32)]
    scores: list[NDArray[np.float32]] = []
    total = 0

    def layers() -> Iterator[MaskedView]:
        nonlocal total
        for number, view in enumerate(views):
            total += 1
            for layer in view.layers:
                present = np.unique(layer[layer > 0])
                ids.append(present.astype(np.int32))
                unknown = np.full(len(present), np.nan, np.float32)
                scores.append(unknown if view.scores is None else view.scores[present - 1])
                layer_view.append(number)
                yield MaskedView(view.name, view.camera, compact(layer))

    evidence = gather_evidence(voter, layers(), gaussians, progress, count)
    of_layer = np.array(layer_view, np.int32)
    mask_view = np.append(np.int32(-1), of_layer[evidence.mask_view[1:]]).astype(np.int32)
    trust = np.concatenate([np.ones(1, np.float32), trust_of(np.concatenate(scores))])
    return LayerVotes(evidence, of_layer, mask_view, np.concatenate(ids), trust, total)


def trust_of(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the trust (M,), 0 to 1, of masks with these scores: by rank, because each model has its own scale.

    Masks without a score (NaN) have trust 1, as do all masks if the scores are equal.
    """
    trust = np.ones(len(scores), np.float32)
    known = np.flatnonzero(np.isfinite(scores))
    values, inverse, count = np.unique(scores[known], return_inverse=True, return_counts=True)
    if len(values) > 1:
        rank = (np.cumsum(count) - 0.5 * count) / len(known)
        trust[known] = (LEAST_TRUST + (1 - LEAST_TRUST) * np.minimum(1, 2 * rank))[inverse]
    return trust


LEAST_TRUST = 0.3
"""Trust of the mask with the lowest score; the upper half has trust 1."""
