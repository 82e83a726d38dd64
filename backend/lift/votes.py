"""The evidence: in each view, which mask each Gaussian shows itself in, and how strongly.

Every method is judged by, and decodes through, these votes. A vote needs no identity across views, so masks whose ids
are drawn afresh in each view do no harm here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from backend.compiled import kernel
from backend.lift.views import MaskedView
from backend.progress import Progress, silent
from backend.render.types import Contributions, Votes
from backend.scene.types import Camera

FAINT = 0.02
"""Votes of a smaller summed weight (in pixels) are not kept: they are rounding, and most of the memory."""
SURE_WEIGHT = 0.05
SURE_SHARE = 0.5
"""A vote names a mask for sure if the Gaussian shows this much, and this share of it in that one mask."""


class Voter(Protocol):
    """What is asked of :class:`backend.render.Renderer` here."""

    def votes(self, camera: Camera, mask: NDArray[np.int32]) -> Votes: ...


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


def gather_evidence(
    voter: Voter, views: Iterable[MaskedView], gaussians: int, progress: Progress = silent, count: int = 0
) -> Evidence:
    """Rasterise the votes of every view, one view at a time.

    What is mostly void in a view counts as hidden there.

    Args:
        voter: the renderer of the Gaussians.
        views: their masks with ids 1, 2, ..., as :func:`backend.lift.views.masked_views` yields them.
        gaussians: N.
        progress: told under the stage "contributions".
        count: how many views to expect, for the progress.
    """
    rows, mask, own, total, zero = Column(np.int32), Column(np.int32), *(Column(np.float32) for _ in range(3))
    mask_view = [np.array([-1], np.int32)]
    ends = []
    masks = 0
    for number, view in enumerate(views):
        progress("contributions", min(1.0, number / max(count, 1)), view.name)
        votes = voter.votes(view.camera, view.mask)
        # A Gaussian that void holds most of says nothing in this view, and the sliver of it on a mask least of all.
        seen = np.flatnonzero((votes.label >= 0) & (votes.total > FAINT))
        label = votes.label[seen]
        rows.append(seen)
        mask.append(np.where(label > 0, label + masks, 0))
        own.append(votes.own[seen])
        total.append(votes.total[seen])
        zero.append(votes.zero[seen])
        ends.append(rows.length)
        here = max(int(view.mask.max()), 0)
        masks += here
        mask_view.append(np.full(here, number, np.int32))
    progress("contributions", 1.0)

    # By Gaussian one column after the other, each giving its memory back as soon as it is copied.
    start = np.concatenate([[0], np.cumsum(rows.counts(gaussians))])
    view = _views_by_row(rows, np.array(ends, np.int64), start)
    by_row = []
    for column in (mask, own, total, zero):
        by_row.append(_by_row(rows, column, start))
        column.clear()
    rows.clear()
    gaussian = np.repeat(np.arange(gaussians, dtype=np.int32), np.diff(start))
    named, on_it, all_of_it, on_none = by_row
    return Evidence(start, gaussian, view, named, on_it, all_of_it, on_none, np.concatenate(mask_view), len(ends))


class Column:
    """Values in the order they come, in pieces of 64 MiB and more, which an allocator gives back when they are freed.

    Attributes:
        length: how many values there are.
    """

    PIECE = 1 << 24

    def __init__(self, dtype: type) -> None:
        self.dtype = dtype
        self.length = 0
        self._pieces: list[NDArray] = []
        self._room = 0

    def append(self, values: NDArray) -> None:
        """Add (n,) values."""
        while len(values):
            if self._room == 0:
                self._pieces.append(np.empty(self.PIECE, self.dtype))
                self._room = self.PIECE
            begin = self.PIECE - self._room
            fits, values = values[: self._room], values[self._room :]
            self._pieces[-1][begin : begin + len(fits)] = fits
            self._room -= len(fits)
            self.length += len(fits)

    def pieces(self) -> list[NDArray]:
        """Return the values, piece by piece."""
        return [*self._pieces[:-1], self._pieces[-1][: self.PIECE - self._room]] if self._pieces else []

    def counts(self, least: int) -> NDArray[np.int64]:
        """Return how often each value 0, 1, ... is there, for the first ``least`` numbers at least."""
        total = np.zeros(least, np.int64)
        for piece in self.pieces():
            total += np.bincount(piece, minlength=least)
        return total

    def clear(self) -> None:
        self._pieces, self.length, self._room = [], 0, 0


def _by_row(rows: Column, values: Column, start: NDArray[np.int64]) -> NDArray:
    """Return the values row by row, those of a row in the order they came."""
    out = np.empty(rows.length, values.dtype)
    free = start[:-1].copy()
    for row, piece in zip(rows.pieces(), values.pieces(), strict=True):
        _scatter(row, piece, free, out)
    return out


def _views_by_row(rows: Column, ends: NDArray[np.int64], start: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return the view of each entry row by row; ``ends`` are the entries up to the end of each view."""
    out = np.empty(rows.length, np.int32)
    free = start[:-1].copy()
    begin = 0
    for row in rows.pieces():
        view = np.searchsorted(ends, np.arange(begin, begin + len(row)), side="right").astype(np.int32)
        _scatter(row, view, free, out)
        begin += len(row)
    return out


@kernel()
def _scatter(row, values, free, out):  # pragma: no cover - compiled
    for e in range(len(row)):
        place = free[row[e]]
        out[place] = values[e]
        free[row[e]] = place + 1


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


def count_votes(contributions: Contributions, mask: NDArray[np.int32], gaussians: int) -> Votes:
    """Return a view's votes from its contributions, for engines and scenes that hold those and no vote pass.

    Args:
        contributions: of any pixels of the view.
        mask: (H, W) int32.
        gaussians: N.
    """
    ids, inverse = np.unique(mask.ravel()[contributions.pixels], return_inverse=True)
    columns = _count(
        contributions.ids, contributions.weights, inverse.astype(np.int64), ids.astype(np.int64), gaussians
    )
    return Votes(*columns)


@kernel()
def _count(gaussian, weight, column, ids, gaussians):  # pragma: no cover - compiled
    """Sort the (Gaussian, mask) pairs by Gaussian, then add up each Gaussian's few masks."""
    pixels, k = gaussian.shape
    start = np.zeros(gaussians + 1, np.int64)
    for p in range(pixels):
        for j in range(k):
            if weight[p, j] > 0:
                start[gaussian[p, j] + 1] += 1
    for i in range(gaussians):
        start[i + 1] += start[i]
    free = start[:-1].copy()
    pair_mask = np.empty(start[-1], np.int32)
    pair_weight = np.empty(start[-1], np.float32)
    for p in range(pixels):
        for j in range(k):
            if weight[p, j] > 0:
                e = free[gaussian[p, j]]
                pair_mask[e] = column[p]
                pair_weight[e] = weight[p, j]
                free[gaussian[p, j]] += 1
    label = np.full(gaussians, -1, np.int32)
    own = np.zeros(gaussians, np.float32)
    total = np.zeros(gaussians, np.float32)
    zero = np.zeros(gaussians, np.float32)
    sums = np.zeros(len(ids), np.float64)
    for i in range(gaussians):
        for e in range(start[i], start[i + 1]):
            sums[pair_mask[e]] += pair_weight[e]
        for e in range(start[i], start[i + 1]):
            m = pair_mask[e]
            total[i] += pair_weight[e]
            if ids[m] == 0:
                zero[i] += pair_weight[e]
            if sums[m] > own[i]:
                own[i] = sums[m]
                label[i] = ids[m]
        for e in range(start[i], start[i + 1]):
            sums[pair_mask[e]] = 0.0
    return label, own, total, zero
