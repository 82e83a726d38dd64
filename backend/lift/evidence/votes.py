"""The evidence: the mask that each Gaussian falls on in each view, and with what weight.

Every method is judged by, and decodes through, these votes. A vote needs no identity across views, so masks whose ids
are drawn anew in each view do no harm here.
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
"""A vote names a mask for sure if the Gaussian shows this much, and this share of it in that one mask."""


class ByMask(NamedTuple):
    """The votes for masks, mask by mask: those of mask m are ``entries[start[m]:start[m + 1]]``."""

    start: NDArray[np.int64]
    entries: NDArray[np.int32]


@dataclass(frozen=True)
class Evidence:
    """The votes of N Gaussians in V views for M masks: a sparse matrix, rows Gaussians, columns views.

    A Gaussian takes a row entry in each view that shows it, in the order of the views: 24 bytes an entry, so 60,000
    Gaussians in 64 views take about 50 MB, 2 M in 300 views of 512 x 512 about 3 GB, and the dense form is never made.
    Masks are numbered 1 to M over all views, view by view; 0 is "no mask here".

    Attributes:
        start: (N + 1,) int64, the entries of Gaussian i are ``start[i]`` to ``start[i + 1]``.
        gaussian: (E,) int32, the Gaussian of each entry.
        view: (E,) int32, the view of each entry.
        mask: (E,) int32, the mask (or 0) that holds the largest part of the Gaussian's weight in that view.
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
        """(E,) bool, votes that plainly name one mask."""
        return (self.mask > 0) & (self.total > SURE_WEIGHT) & (self.own > SURE_SHARE * self.total)

    @cached_property
    def weight(self) -> NDArray[np.float64]:
        """(N,) float64, weight of each Gaussian over all views."""
        return self.sums(self.total)

    @cached_property
    def seen(self) -> NDArray[np.bool_]:
        """(N,) bool, Gaussians that the views show at all."""
        return self.weight > SURE_WEIGHT

    @cached_property
    def by_mask(self) -> ByMask:
        """The entries with a mask, grouped by it."""
        return ByMask(*_group(self.mask, self.masks + 1))

    def of_views(self, chosen: NDArray[np.bool_]) -> Evidence:
        """Return the votes of some of the views alone, ``chosen`` (V,) bool; views and masks keep their numbers."""
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
    """A stable counting sort: where the entries of each key begin, and the entries by key."""
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
