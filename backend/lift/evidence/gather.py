"""Collects the votes of all views, view by view, and sorts them by Gaussian."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backend.compiled import kernel
from backend.lift.evidence.views import MaskedView
from backend.lift.evidence.votes import Evidence
from backend.progress import Progress, silent
from backend.render.types import Votes
from backend.scene.types import Camera

FAINT = 0.02
"""Votes with a smaller total weight (in pixels) are dropped: they are noise, but would take most of the memory."""


class Voter(Protocol):
    """The required interface of :class:`backend.render.Renderer`."""

    def votes(self, camera: Camera, mask: NDArray[np.int32]) -> Votes: ...


def gather_evidence(
    voter: Voter, views: Iterable[MaskedView], gaussians: int, progress: Progress = silent, count: int = 0
) -> Evidence:
    """Rasterise the votes of all views, one view at a time.

    A Gaussian that is mostly void in a view counts as hidden there.

    Args:
        voter: the renderer of the Gaussians.
        views: their masks with ids 1, 2, ..., as :func:`~backend.lift.evidence.views.masked_views` yields them.
        gaussians: N.
        progress: told under the stage "contributions".
        count: expected number of views, for the progress.
    """
    rows, mask, own, total, zero = Column(np.int32), Column(np.int32), *(Column(np.float32) for _ in range(3))
    mask_view = [np.array([-1], np.int32)]
    ends = []
    masks = 0
    for number, view in enumerate(views):
        progress("contributions", min(1.0, number / max(count, 1)), view.name)
        votes = voter.votes(view.camera, view.mask)
        # A mostly void Gaussian says nothing in this view; its small rest on a mask would be misleading.
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

    # Sort one column after the other, releasing each as soon as it is copied.
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
    """A growing array in pieces of at least 64 MiB, which the allocator returns to the system when they are freed.

    Attributes:
        length: number of values.
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
        """Return the values in pieces."""
        return [*self._pieces[:-1], self._pieces[-1][: self.PIECE - self._room]] if self._pieces else []

    def counts(self, least: int) -> NDArray[np.int64]:
        """Return the number of occurrences of each value 0, 1, ..., with at least ``least`` entries."""
        total = np.zeros(least, np.int64)
        for piece in self.pieces():
            total += np.bincount(piece, minlength=least)
        return total

    def clear(self) -> None:
        self._pieces, self.length, self._room = [], 0, 0


def _by_row(rows: Column, values: Column, start: NDArray[np.int64]) -> NDArray:
    """Return the values grouped by row, in order of arrival within a row."""
    out = np.empty(rows.length, values.dtype)
    free = start[:-1].copy()
    for row, piece in zip(rows.pieces(), values.pieces(), strict=True):
        _scatter(row, piece, free, out)
    return out


def _views_by_row(rows: Column, ends: NDArray[np.int64], start: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return the view of each entry, grouped by row; ``ends`` are the cumulative entries per view."""
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
