"""Maps rows of the first import to rows of ``splats.ply``; edits remove rows and change their order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocol.result.gaussians import map_rows
from protocol.result.names import ROW


@dataclass(frozen=True)
class Rows:
    """The rows of the first import that a result still has.

    Attributes:
        count: number of Gaussians in ``splats.ply``.
        known: (count,) int64, ascending, the rows of the first import; None if the result was never edited, so that
            both numberings are the same.
        places: (count,) int64, the row in ``splats.ply`` of each of ``known``; None if ``known`` is None.
    """

    count: int
    known: NDArray[np.int64] | None = None
    places: NDArray[np.int64] | None = None

    def places_of(self, rows: NDArray) -> NDArray[np.int64]:
        """Return the rows (N,) int64 in ``splats.ply`` of ``rows`` (N,); -1 for a deleted row."""
        rows = np.asarray(rows, np.int64)
        if self.known is None or self.places is None:
            return np.where((rows >= 0) & (rows < self.count), rows, -1)
        if not self.count:
            return np.full(len(rows), -1, np.int64)
        found = np.searchsorted(self.known, rows).clip(max=self.count - 1)
        return np.where(self.known[found] == rows, self.places[found], -1)


def read_rows(folder: Path) -> Rows:
    """Return the row mapping of a result's ``splats.ply``.

    Memory depends on the size of the file, never on values in it, because the file is not trusted.

    Raises:
        BadResult: if the file is missing or broken.
    """
    stored = map_rows(folder)
    if ROW not in (stored.dtype.names or ()):
        return Rows(len(stored))
    rows = np.asarray(stored[ROW], np.int64)
    order = np.argsort(rows, kind="stable")
    return Rows(len(rows), rows[order], order)
