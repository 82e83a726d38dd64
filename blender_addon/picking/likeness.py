"""Which Gaussians of a splat without labels belong together: by connection alone, or by connection and colour."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.sh import SH0
from protocol.splats import Splats

from ..editing.neighbours import cells_of, connected_pieces, touching, usual_distance
from ..editing.similar import GAP, THRESHOLD

PIECE_GAP = 1.0
"""Largest distance between connected neighbours, as a multiple of the usual distance; as in Split into Pieces."""


class Likeness:
    """The Gaussians of one data-block, prepared for clicks.

    Attributes:
        pieces: (N,) the connected piece of each Gaussian, 0 for the largest.

    Args:
        data: the data-block.
        splats: its N Gaussians.
    """

    def __init__(self, data: Any, splats: Splats) -> None:
        self.pieces = connected_pieces(data, PIECE_GAP)
        colours = np.clip(SH0 * splats.sh[:, 0] + 0.5, 0, 1)
        self._colours = np.ascontiguousarray(np.round(255 * colours).astype(np.uint8).T)
        width = GAP * usual_distance(splats.means)
        if width > 0:
            cells, cell_of = np.unique(cells_of(splats.means, width), return_inverse=True)
            links = np.concatenate([np.stack(pair) for pair in touching(cells)], axis=1)
        else:
            cells, cell_of, links = np.zeros(1, np.int64), np.zeros(len(splats), np.intp), np.zeros((2, 0), np.intp)
        self._cell_of = cell_of.astype(np.int32)
        both = np.concatenate([links, links[::-1]], axis=1)
        order = np.argsort(both[0], kind="stable")
        self._neighbours = both[1][order].astype(np.int32)
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(both[0], minlength=len(cells)))])

    def piece(self, row: int) -> NDArray[np.bool_]:
        """Return (N,) bool, the Gaussians that are connected to one."""
        return self.pieces == self.pieces[row]

    def alike(self, row: int) -> NDArray[np.bool_]:
        """Return (N,) bool, the Gaussians of similar colour that are connected to one through such Gaussians.

        Each channel differs from that of the Gaussian by less than 1 - THRESHOLD, as in Select Similar.
        """
        alike = np.ones(len(self._cell_of), bool)
        for channel in self._colours:
            own, reach = int(channel[row]), round(255 * (1 - THRESHOLD))
            alike &= (channel >= max(own - reach, 0)) & (channel <= min(own + reach, 255))
        open_cells = np.zeros(len(self._starts) - 1, bool)
        open_cells[self._cell_of[alike]] = True
        return alike & self._reached(int(self._cell_of[row]), open_cells)[self._cell_of]

    def _reached(self, start: int, open_cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the cells that are connected to ``start`` through ``open_cells``, breadth first."""
        reached = np.zeros_like(open_cells)
        reached[start] = True
        front = np.array([start])
        while len(front):
            counts = self._starts[front + 1] - self._starts[front]
            offsets = np.repeat(self._starts[front] - np.cumsum(counts) + counts, counts)
            near = self._neighbours[offsets + np.arange(len(offsets))]
            near = near[open_cells[near] & ~reached[near]]
            reached[near] = True
            front = np.unique(near) if len(near) < 1000 else _without_repeats(near, len(reached))
        return reached


def _without_repeats(cells: NDArray[np.int32], count: int) -> NDArray[np.intp]:
    """As ``numpy.unique``, faster for many cells."""
    marks = np.zeros(count, bool)
    marks[cells] = True
    return np.flatnonzero(marks)
