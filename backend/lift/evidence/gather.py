"""The votes of all views, gathered view by view and laid out Gaussian by Gaussian."""

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
"""Votes of a smaller summed weight (in pixels) are not kept: they are rounding, and most of the memory."""


class Voter(Protocol):
    """What is asked of :class:`backend.render.Renderer` here."""

    def votes(self, camera: Camera, mask: NDArray[np.int32]) -> Votes: ...


def gather_evidence(
    voter: Voter, views: Iterable[MaskedView], gaussians: int, progress: Progress = silent, count: int = 0
) -> Evidence:
    """Rasterise the votes of every view, one view at a time.

    What is mostly void in a view counts as hidden there.

    Args:
        voter: the renderer of the Gaussians.
        views: their masks with ids 1, 2, ..., as :func:`~backend.lift.evidence.views.masked_views` yields them.
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
