"""The votes: the mask that each Gaussian lies in in each view, with its weight.

All methods are scored with these votes, and most decode with them. Votes need no identity across views, so mask ids
that differ from view to view are no problem.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backend.compiled import kernel

SURE_WEIGHT = 0.05
SURE_SHARE = 0.5
"""A vote is sure if the Gaussian's weight in the view is at least this, and its share in that one mask too."""


class ByMask(NamedTuple):
    """The votes grouped by mask: those of mask m are ``entries[start[m]:start[m + 1]]``."""

    start: NDArray[np.int64]
    entries: NDArray[np.int32]


@dataclass(frozen=True)
class Evidence:
    """The votes of N Gaussians in V views for M masks: a sparse matrix with Gaussians as rows and views as columns.

    A row has an entry for each view that shows the Gaussian, in the order of the views. An entry takes 24 bytes, so
    60,000 Gaussians in 64 views take about 50 MB, 2 M in 300 views of 512 x 512 about 3 GB; the dense matrix is never
    built. Masks are numbered 1 to M over all views, view by view; 0 means no mask.

    Attributes:
        start: (N + 1,) int64, Gaussian i has the entries ``start[i]`` to ``start[i + 1]``.
        gaussian: (E,) int32, the Gaussian of each entry.
        view: (E,) int32, the view of each entry.
        mask: (E,) int32, the mask (or 0) with the largest part of the Gaussian's weight in that view.
        own: (E,) float32, that part: the sum of alpha times transmittance over the pixels of the mask.
        total: (E,) float32, the Gaussian's weight over all pixels of the view.
        zero: (E,) float32, its weight over pixels of mask 0.
        mask_view: (M + 1,) int32, the view of each mask; -1 for mask 0.
        views: V.
    """

    start: NDArray[np.int64]
    gaussian: NDArray[np.int32]
    view: NDArray[np.int32]
    mask: NDArray[np.int32]
    own: NDArray[np.float32]
    total: NDArray[np.float32]
    zero: NDArray[np.float32]
    mask_view: NDArray[np.int32]
    views: int

    @property
    def gaussians(self) -> int:
        """N."""
        return len(self.start) - 1

    @property
    def masks(self) -> int:
        """M."""
        return len(self.mask_view) - 1

    @cached_property
    def sure(self) -> NDArray[np.bool_]:
        """(E,) bool, votes that clearly name one mask."""
        return (self.mask > 0) & (self.total > SURE_WEIGHT) & (self.own > SURE_SHARE * self.total)

    @cached_property
    def weight(self) -> NDArray[np.float64]:
        """(N,) float64, total weight of each Gaussian over all views."""
        return self.sums(self.total)

    @cached_property
    def seen(self) -> NDArray[np.bool_]:
        """(N,) bool, Gaussians that are visible in at least one view."""
        return self.weight > SURE_WEIGHT

    @cached_property
    def by_mask(self) -> ByMask:
        """The entries with a mask, grouped by mask."""
        return ByMask(*_group(self.mask, self.masks + 1))

    def of_views(self, chosen: NDArray[np.bool_]) -> Evidence:
        """Return the votes of the views ``chosen`` (V,) bool only; views and masks keep their numbers."""
        kept = chosen[self.view]
        start = np.concatenate([[0], np.cumsum(kept)])[self.start]
        return replace(
            self,
            start=start,
            gaussian=self.gaussian[kept],
            view=self.view[kept],
            mask=self.mask[kept],
            own=self.own[kept],
            total=self.total[kept],
            zero=self.zero[kept],
        )

    def sums(self, values: NDArray) -> NDArray[np.float64]:
        """Return (N,) float64, the sum of (E,) ``values`` over the entries of each Gaussian."""
        return _row_sums(self.start, values)


@kernel()
def _row_sums(start, values):  # pragma: no cover - compiled
    out = np.zeros(len(start) - 1, np.float64)
    for i in range(len(out)):
        for e in range(start[i], start[i + 1]):
            out[i] += values[e]
    return out


@kernel()
def _group(key, keys):  # pragma: no cover - compiled
    """A stable counting sort: return where the entries of each key begin, and the entries sorted by key."""
    start = np.zeros(keys + 1, np.int64)
    for e in range(len(key)):
        start[key[e] + 1] += 1
    for k in range(keys):
        start[k + 1] += start[k]
    free = start[:-1].copy()
    entries = np.empty(len(key), np.int32)
    for e in range(len(key)):
        entries[free[key[e]]] = e
        free[key[e]] += 1
    return start, entries
