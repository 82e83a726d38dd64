"""Vector quantisation for SOG: codebooks of sizes and colours, palettes of spherical harmonics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.splats import Floats

CODES = 256
"""Number of values that an index of 8 bits can select."""
BINS = 1 << 16
ROUNDS = 40


def codebook(values: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Return at most :data:`CODES` values, ascending, and the index of the nearest one for each of ``values``.

    ``values`` and the indices have the same shape. Up to :data:`CODES` distinct values are kept exactly. For more,
    Lloyd's algorithm ("Least squares quantization in PCM", 1982) runs on a histogram, starting from the quantiles.
    """
    different = np.unique(values)
    if len(different) <= CODES:
        return different.astype(np.float32), np.searchsorted(different, values)
    low, high = float(different[0]), float(different[-1])
    counts, edges = np.histogram(values, BINS, (low, high))
    sums = counts * (edges[:-1] + edges[1:]) / 2
    counts, sums = np.concatenate([[0], np.cumsum(counts)]), np.concatenate([[0], np.cumsum(sums)])
    # Half of the codes are spaced by quantiles and half evenly, so that a few distant values get codes too.
    centres = np.concatenate(
        [np.quantile(values, (np.arange(CODES // 2) + 0.5) / (CODES // 2)), np.linspace(low, high, CODES - CODES // 2)]
    )
    for _ in range(ROUNDS):
        centres = np.sort(centres)
        ends = np.searchsorted(edges, (centres[:-1] + centres[1:]) / 2)
        ends = np.concatenate([[0], ends.clip(0, BINS), [BINS]])
        inside = np.diff(counts[ends])
        centres = np.where(inside > 0, np.diff(sums[ends]) / np.maximum(inside, 1), centres)
    codes = np.sort(centres).astype(np.float32)
    return codes, np.searchsorted((codes[:-1] + codes[1:]) / 2, values)


def palette(rows: Floats, size: int) -> tuple[Floats, NDArray[np.intp]]:
    """Return at most ``size`` rows (P, D) that represent rows (N, D), and for each of the N the index of its row.

    Divisive clustering: each level splits every group in two at the mean of the column that varies most, until the next
    level could exceed ``size``. No distances between rows are computed, so a million rows take seconds.
    """
    groups = np.zeros(len(rows), np.intp)
    count = 1
    while 2 * count <= size:
        order = np.argsort(groups, kind="stable")
        starts = np.searchsorted(groups[order], np.arange(count))
        sizes = np.diff(np.append(starts, len(rows)))[:, None]
        ordered = rows[order]
        means = np.add.reduceat(ordered, starts) / sizes
        spreads = np.add.reduceat(np.square(ordered - np.repeat(means, sizes[:, 0], axis=0)), starts)
        column = spreads.argmax(1)
        upper = np.take_along_axis(rows, column[groups][:, None], 1)[:, 0] > means[groups, column[groups]]
        _, cut = np.unique(2 * groups + upper, return_inverse=True)
        if cut.max() + 1 == count:  # no group can be split further
            break
        groups, count = cut, int(cut.max()) + 1
    sums = np.stack([np.bincount(groups, rows[:, d], count) for d in range(rows.shape[1])], 1)
    return (sums / np.bincount(groups, minlength=count)[:, None]).astype(np.float32), groups
