"""Assigns Gaussians to tiles, in depth order.

A pair is one Gaussian in one tile. Pairs are stored by tile, front to back, which is the order of blending; ``places``
lists them by Gaussian, which is the order in which gradients and votes are summed. All sorts are stable counting sorts,
so the result does not depend on the number of threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.compiled import inlined, kernel
from backend.render.model import TILE
from backend.render.project import CONIC_A, CONIC_B, CONIC_C, FAST, HALF, LEAST, ONE, REACH_X, REACH_Y, F, U, V
from backend.threads import spread, threads_for

BLOCKS = 16
"""The depth-ordered Gaussians are binned in this many runs, each by one thread."""

SLACK = F(0.01)
"""Pixels by which an ellipse is enlarged, to cover rounding of square roots."""

SHIFT = TILE.bit_length() - 1

PAIRS = 1024
"""Least number of pairs per blending thread."""

FEW = 4
"""A Gaussian whose box has at most this many tiles is assigned to all of them; of a larger box, tiles that the ellipse
misses are excluded. The test costs more than a few pairs without a row."""


@dataclass(frozen=True)
class Bins:
    """Pairs of Gaussians and tiles.

    Attributes:
        order: (V,) int32, visible Gaussians, nearest first.
        first: (V + 1,) int64, the pairs of ``order[r]`` are ``places[first[r]:first[r + 1]]``.
        places: (n,) int32, the index of a pair in ``members``.
        start: (tiles + 1,) int64, the pairs of tile t are ``members[start[t]:start[t + 1]]``, nearest first.
        members: (n,) int32, the Gaussian of each pair.
        slots: (n,) int32, the index of a pair in ``places``.
        rows: (n,) uint8, first row of the tile that the Gaussian touches, plus 16 times the last.
        schedule: (tiles,) int32, order of tiles that gives all threads about the same number of pairs.
        least: fewest tiles for one thread, see :func:`backend.threads.spread`.
        across, down: tiles.
    """

    order: NDArray[np.int32]
    first: NDArray[np.int64]
    places: NDArray[np.int32]
    start: NDArray[np.int64]
    members: NDArray[np.int32]
    rows: NDArray[np.uint8]
    slots: NDArray[np.int32]
    schedule: NDArray[np.int32]
    least: int
    across: int
    down: int


def bin_tiles(footprints: NDArray, boxes: NDArray, depths: NDArray, width: int, height: int) -> Bins:
    """Sort the projected Gaussians by depth and assign them to tiles of TILE x TILE pixels."""
    across, down = -(-width // TILE), -(-height // TILE)
    order = depth_order(boxes, depths)
    least = -(-BLOCKS * LEAST // max(1, len(order)))
    counts, pairs = np.zeros((BLOCKS, across * down), np.int32), np.zeros(len(order), np.int64)
    spread(count_pairs, BLOCKS, order, footprints, boxes, across, counts, pairs, least=least)
    first = np.concatenate([[0], np.cumsum(pairs)])
    start, cursors = tile_starts(counts)
    members, slots, places = (np.empty(start[-1], np.int32) for _ in range(3))
    rows = np.empty(start[-1], np.uint8)
    spread(
        fill_pairs, BLOCKS, order, first, cursors, footprints, boxes, across, members, rows, slots, places, least=least
    )
    least = -(-across * down * PAIRS // max(1, len(members)))
    schedule = _schedule(np.diff(start), threads_for(across * down, least))
    return Bins(order, first, places, start, members, rows, slots, schedule, least, across, down)


def _schedule(counts: NDArray, threads: int) -> NDArray[np.int32]:
    """Distribute tiles, fullest first, over the threads; each thread gets one contiguous run."""
    fullest = np.argsort(-counts, kind="stable").astype(np.int32)
    return np.concatenate([fullest[thread::threads] for thread in range(threads)])


@kernel()
def depth_order(boxes, depths):
    """Return (V,) int32: Gaussians with a non-empty box, nearest first; ties in index order.

    A radix sort with three passes of 11 bits: positive float32 values sort like their bits.
    """
    n = 0
    for i in range(boxes.shape[0]):
        if boxes[i, 0] <= boxes[i, 1] and boxes[i, 2] <= boxes[i, 3]:
            n += 1
    bits = depths.view(np.uint32)
    order, other = np.empty(n, np.int32), np.empty(n, np.int32)
    keys, other_keys = np.empty(n, np.uint32), np.empty(n, np.uint32)
    n = 0
    for i in range(boxes.shape[0]):
        if boxes[i, 0] <= boxes[i, 1] and boxes[i, 2] <= boxes[i, 3]:
            order[n] = i
            keys[n] = bits[i]
            n += 1
    for shift in (0, 11, 22):
        position = np.zeros(2049, np.int64)
        for k in range(n):
            position[((keys[k] >> shift) & 2047) + 1] += 1
        for digit in range(2048):
            position[digit + 1] += position[digit]
        for k in range(n):
            digit = (keys[k] >> shift) & 2047
            to = position[digit]
            position[digit] = to + 1
            other[to] = order[k]
            other_keys[to] = keys[k]
        order, other = other, order
        keys, other_keys = other_keys, keys
    return order


@inlined(fastmath=FAST)
def outline(footprints, i):
    """Return the arguments of :func:`span` for Gaussian i: for extents in x over a range of y, then the reverse."""
    a, b, c = footprints[i, CONIC_A], footprints[i, CONIC_B], footprints[i, CONIC_C]
    reach_x, reach_y = footprints[i, REACH_X], footprints[i, REACH_Y]
    slant_x, slant_y = -b / a, -b / c
    squeeze = math.sqrt(max(ONE - slant_x * slant_y, F(0)))
    in_x = (slant_x, reach_x * squeeze, slant_y * reach_x, ONE / reach_y)
    in_y = (slant_y, reach_y * squeeze, slant_x * reach_y, ONE / reach_x)
    return in_x, in_y


@inlined(fastmath=FAST)
def span(low, high, shape):
    """Return the extent in x of the ellipse a x^2 + 2 b x y + c y^2 = level over low <= y <= high, relative to its
    centre.

    At height y the ellipse extends from slant y - s to slant y + s, s = chord sqrt(1 - (y / reach_y)^2), where slant is
    -b/a and chord is half its width at y = 0. Its widest points are (reach_x, tip) and the mirror image; if they are
    outside the strip, the extent is reached on the nearer edge of the strip.

    Args:
        shape: (slant, chord, tip, 1 / reach_y), see :func:`outline`.
    """
    slant, chord, tip, shrink = shape
    y_right, y_left = min(max(tip, low), high), min(max(-tip, low), high)
    right = slant * y_right + chord * math.sqrt(max(ONE - (y_right * shrink) ** 2, F(0)))
    left = slant * y_left - chord * math.sqrt(max(ONE - (y_left * shrink) ** 2, F(0)))
    return left - SLACK, right + SLACK


@inlined(fastmath=FAST)
def tiles_of_strip(u, v, shape, first, last, ty):
    """Return first and last tile column that the ellipse touches in tile row ty; its box has columns first to last."""
    low, high = F(ty * TILE) + HALF - v, F(ty * TILE + TILE) - HALF - v
    left, right = span(low, high, shape)
    first = max(math.ceil(u + left - HALF), first)
    last = min(math.floor(u + right - HALF), last)
    return first >> SHIFT, last >> SHIFT if last >= first else (first >> SHIFT) - 1


@inlined(fastmath=FAST)
def rows_of_tile(u, v, shape, first, last, tx):
    """Return first and last pixel row that the ellipse touches in tile column tx; its box has rows first to last."""
    low, high = F(tx * TILE) + HALF - u, F(tx * TILE + TILE) - HALF - u
    top, bottom = span(low, high, shape)
    return max(math.ceil(v + top - HALF), first), min(math.floor(v + bottom - HALF), last)


@kernel(fastmath=FAST)
def count_pairs(begin, end, order, footprints, boxes, across, counts, pairs):
    """Count the pairs of Gaussians in runs begin to end of BLOCKS.

    Args:
        counts: (BLOCKS, tiles) int32, initially zero: pairs per run and tile. pairs: (V,) int64, written: per Gaussian.
    """
    n = order.shape[0]
    for block in range(begin, end):
        for r in range(n * block // BLOCKS, n * (block + 1) // BLOCKS):
            i = order[r]
            left, right = boxes[i, 0] >> SHIFT, boxes[i, 1] >> SHIFT
            top, bottom = boxes[i, 2] >> SHIFT, boxes[i, 3] >> SHIFT
            if (right - left + 1) * (bottom - top + 1) <= FEW:
                for ty in range(top, bottom + 1):
                    for tx in range(left, right + 1):
                        counts[block, ty * across + tx] += 1
                pairs[r] = (right - left + 1) * (bottom - top + 1)
                continue
            found = 0
            in_x, _ = outline(footprints, i)
            for ty in range(top, bottom + 1):
                left, right = tiles_of_strip(footprints[i, U], footprints[i, V], in_x, boxes[i, 0], boxes[i, 1], ty)
                found += right - left + 1
                for tx in range(left, right + 1):
                    counts[block, ty * across + tx] += 1
            pairs[r] = found


@kernel()
def tile_starts(counts):
    """Return the start of each tile's pairs, (tiles + 1,) int64, and of each run's in it, (BLOCKS, tiles) int64."""
    blocks, tiles = counts.shape
    start = np.zeros(tiles + 1, np.int64)
    cursors = np.empty((blocks, tiles), np.int64)
    total = 0
    for tile in range(tiles):
        start[tile] = total
        for block in range(blocks):
            cursors[block, tile] = total
            total += counts[block, tile]
    start[tiles] = total
    return start, cursors


@kernel(fastmath=FAST)
def fill_pairs(begin, end, order, first, cursors, footprints, boxes, across, members, rows, slots, places):
    """Write the pairs of Gaussians in runs begin to end of BLOCKS, see :class:`Bins`. ``cursors`` is modified."""
    n = order.shape[0]
    for block in range(begin, end):
        for r in range(n * block // BLOCKS, n * (block + 1) // BLOCKS):
            i = order[r]
            pair = first[r]
            u, v = footprints[i, U], footprints[i, V]
            left, right = boxes[i, 0] >> SHIFT, boxes[i, 1] >> SHIFT
            top, bottom = boxes[i, 2] >> SHIFT, boxes[i, 3] >> SHIFT
            many = (right - left + 1) * (bottom - top + 1) > FEW
            in_x, in_y = outline(footprints, i)
            for ty in range(top, bottom + 1):
                if many:
                    left, right = tiles_of_strip(u, v, in_x, boxes[i, 0], boxes[i, 1], ty)
                for tx in range(left, right + 1):
                    place = cursors[block, ty * across + tx]
                    cursors[block, ty * across + tx] = place + 1
                    high, low = rows_of_tile(u, v, in_y, boxes[i, 2], boxes[i, 3], tx)
                    high, low = max(high - ty * TILE, 0), min(low - ty * TILE, TILE - 1)
                    members[place] = i
                    rows[place] = high + TILE * low if high <= low else 1
                    slots[place] = pair
                    places[pair] = place
                    pair += 1
