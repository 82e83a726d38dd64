"""Votes of a mask: the weight of each Gaussian on every mask id, from all pixels and contributing Gaussians.

A tile contains few ids, its palette. While the tile is processed, each of its pairs gets one sum per id of the palette;
then the sums of each Gaussian's pairs are added by id, in a fixed order for any number of threads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.compiled import kernel
from backend.render.blend import CHECK_EVERY, ORDERED, opaque, open_tile, weigh
from backend.render.model import TILE
from backend.render.project import LEAST, F
from backend.render.projected import ProjectedSplats
from backend.render.types import Votes
from backend.threads import spread

TABLE = 1 << 22
"""Ids from -1 to this are numbered with a lookup table; others by sorting the mask, which is slower."""


def votes(seen: ProjectedSplats, mask: NDArray[np.int32]) -> Votes:
    """Return the votes of a mask (H, W) of integer ids."""
    n, bins = len(seen.footprints), seen.bins
    ids, numbers = number(mask)
    palette_start, palettes = tile_palettes(numbers, bins.across, bins.down)
    sum_start = np.concatenate([[0], np.cumsum(np.diff(bins.start) * np.diff(palette_start))])
    sums, tiles = np.zeros(sum_start[-1], np.float32), np.empty(len(bins.members), np.int32)
    spread(
        weigh_ids, len(bins.schedule), bins.schedule, bins.start, bins.members, bins.rows, seen.footprints, bins.across,
        numbers, palette_start, palettes, sum_start, sums, tiles, least=bins.least,
    )  # fmt: skip
    label, own = np.full(n, -1, np.int32), np.zeros(n, np.float32)
    total, zero = np.zeros(n, np.float32), np.zeros(n, np.float32)
    spread(
        elect, len(bins.order), bins.order, bins.first, bins.places, tiles, bins.start,
        palette_start, palettes, sum_start, sums, ids, label, own, total, zero, least=LEAST,
    )  # fmt: skip
    return Votes(label, own, total, zero)


def number(mask: NDArray) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the ids of a mask, ascending (M,), and the mask with each id replaced by its index (H, W)."""
    if mask.size and mask.min() >= -1 and mask.max() < TABLE:
        shifted = mask + 1
        present = np.zeros(int(shifted.max()) + 1, bool)
        present[shifted.reshape(-1)] = True
        ids = np.flatnonzero(present) - 1
        return ids.astype(np.int32), (np.cumsum(present, dtype=np.int32) - 1)[shifted]
    ids, numbers = np.unique(mask, return_inverse=True)
    return ids.astype(np.int32), numbers.reshape(mask.shape).astype(np.int32)


@kernel()
def tile_palettes(numbers, across, down):
    """Return distinct ids of tile t, ``palettes[start[t]:start[t + 1]]``, in the order of the tile's rows."""
    height, width = numbers.shape
    start = np.zeros(across * down + 1, np.int64)
    palettes = np.empty(height * width, np.int32)
    met = np.full(
        height * width, -1, np.int64
    )  # tile in which an id last occurred; there are at most as many ids as pixels
    size = 0
    for tile in range(across * down):
        left, top = (tile % across) * TILE, (tile // across) * TILE
        for y in range(top, min(top + TILE, height)):
            for x in range(left, min(left + TILE, width)):
                if met[numbers[y, x]] != tile:
                    met[numbers[y, x]] = tile
                    palettes[size] = numbers[y, x]
                    size += 1
        start[tile + 1] = size
    return start, palettes[:size].copy()


@kernel(fastmath=ORDERED)
def weigh_ids(
    begin, end, schedule, start, members, rows, footprints, across, numbers, palette_start, palettes, sum_start,
    sums, tiles,
):  # fmt: skip
    """Sum weights per pair and id of its tile's palette.

    Args:
        schedule, start, members, rows, across: see :class:`backend.render.tiles.Bins`.
        numbers: (H, W). palette_start, palettes: see :func:`tile_palettes`.
        sums: initially zero; pair k of tile t has the ``size`` numbers from ``sum_start[t] + (k - start[t]) size``.
        tiles: (n,) int32, written: the tile of each pair.
    """
    height, width = numbers.shape
    for turn in range(begin, end):
        tile = schedule[turn]
        left, top = (tile % across) * TILE, (tile // across) * TILE
        light = open_tile(left, top, width, height)
        weights = np.zeros((TILE, TILE), np.float32)
        columns = np.zeros(TILE, np.float32)
        size = palette_start[tile + 1] - palette_start[tile]
        shown = np.zeros((size, TILE, TILE), np.float32)  # 1 if a pixel has the id
        highest, lowest = np.full(size, TILE, np.int64), np.full(size, -1, np.int64)
        for y in range(min(TILE, height - top)):
            for x in range(min(TILE, width - left)):
                entry = 0
                while palettes[palette_start[tile] + entry] != numbers[top + y, left + x]:
                    entry += 1
                shown[entry, y, x] = F(1)
                highest[entry], lowest[entry] = min(highest[entry], y), max(lowest[entry], y)
        for k in range(start[tile], start[tile + 1]):
            tiles[k] = tile
        for k in range(start[tile], start[tile + 1]):
            low, high = int(rows[k]) % TILE, int(rows[k]) // TILE
            weigh(footprints, members[k], left, top, low, high, light, weights)
            base = sum_start[tile] + (k - start[tile]) * size
            for entry in range(size):
                # Columns first: rows of fixed length vectorise completely, and an id often covers few rows.
                for x in range(TILE):
                    columns[x] = F(0)
                for y in range(max(low, highest[entry]), min(high, lowest[entry]) + 1):
                    for x in range(TILE):
                        columns[x] += weights[y, x] * shown[entry, y, x]
                total = F(0)
                for x in range(TILE):
                    total += columns[x]
                sums[base + entry] = total
            if k % CHECK_EVERY == CHECK_EVERY - 1 and opaque(light):
                break


@kernel()
def elect(
    begin, end, order, first, places, tiles, start, palette_start, palettes, sum_start, sums, ids,
    label, own, total, zero,
):  # fmt: skip
    """Add the sums of each Gaussian by id and select the largest: fills label, own, total and zero (N,)."""
    ballot = np.zeros(ids.shape[0], np.float32)
    named = np.empty(ids.shape[0], np.int32)
    for r in range(begin, end):
        i = order[r]
        count = 0
        for pair in range(first[r], first[r + 1]):
            k = places[pair]
            tile = tiles[k]
            size = palette_start[tile + 1] - palette_start[tile]
            base = sum_start[tile] + (k - start[tile]) * size
            for entry in range(size):
                weight = sums[base + entry]
                if weight > F(0):
                    number = palettes[palette_start[tile] + entry]
                    if ballot[number] == F(0):
                        named[count] = number
                        count += 1
                    ballot[number] += weight
        best = -1
        for j in range(count):
            number = named[j]
            weight = ballot[number]
            ballot[number] = F(0)
            total[i] += weight
            if ids[number] == 0:
                zero[i] = weight
            if best < 0 or weight > own[i] or (weight == own[i] and number < best):
                best = number
                own[i] = weight
        if best >= 0:
            label[i] = ids[best]
