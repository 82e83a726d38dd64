"""Smoothing along surfaces: agreement is averaged over neighbours of similar colour before an object is chosen.

Mask outlines wobble by pixels, and few views show a small object, so at its edge the votes of single Gaussians are
unreliable. Neighbours of one colour nearly always belong to one object, so agreement is diffused between them: at each
step a Gaussian takes the mean of its own and its neighbours' values, weighted by

    exp(-|colour difference|^2 / 2 s^2  -  (distance / r)^2 / 2)

where s is the typical colour difference of neighbours and r the typical distance to the farthest of them. Edges between
objects thus move to where the colour changes; between objects of one colour they stay where the masks put them, because
diffusion is symmetric. (Diffusion on a graph of neighbours also refines features in LUDVIG, Marrie et al. 2024.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from backend.compiled import kernel
from backend.lift.evidence.agreement import Agreement
from backend.threads import spread
from protocol.sh import SH0
from protocol.splats import Splats

NEIGHBOURS = 12
BLOCK = 65_536
LEAST = 512
"""Least number of Gaussians per thread."""


class Surface(NamedTuple):
    """The neighbour graph of Gaussians, with their similarity.

    Attributes:
        rows: (S,) int64, the Gaussians of the graph.
        near: (S, k) int32, their nearest others, as positions in ``rows``.
        weight: (S, k) float32, 0 to 1.
    """

    rows: NDArray[np.int64]
    near: NDArray[np.int32]
    weight: NDArray[np.float32]


def surface(splats: Splats, seen: NDArray[np.bool_]) -> Surface:
    """Return the graph over the Gaussians of ``seen`` (N,) bool."""
    rows = np.flatnonzero(seen)
    k = min(NEIGHBOURS, len(rows) - 1)
    if k < 1:
        return Surface(rows, np.zeros((len(rows), 0), np.int32), np.zeros((len(rows), 0), np.float32))
    tree = KDTree(splats.means[rows])
    # In the order of the tree's leaves, so that spatial neighbours are adjacent in memory: with a million Gaussians a
    # step takes half the time.
    order = tree.indices
    place = np.empty(len(rows), np.int32)
    place[order] = np.arange(len(rows), dtype=np.int32)
    rows = rows[order]
    means, colour = splats.means[rows], splats.sh[rows, 0] * SH0
    near = np.empty((len(rows), k), np.int32)
    distance, contrast = (np.empty((len(rows), k), np.float32) for _ in range(2))
    # In blocks, because the tree returns 16 bytes per neighbour.
    for begin in range(0, len(rows), BLOCK):
        part = slice(begin, begin + BLOCK)
        far, found = (np.asarray(column)[:, 1:] for column in tree.query(means[part], k=k + 1, workers=-1))
        near[part], distance[part] = place[found], far
        contrast[part] = ((colour[near[part]] - colour[part, None]) ** 2).sum(2)
    typical = max(float(np.median(contrast[:, :4])), 1e-12)
    reach = max(float(np.median(distance[:, -1])), 1e-12)
    weight = np.exp(-contrast / (2 * typical) - (distance / reach) ** 2 / 2)
    return Surface(rows, near, weight)


def smoothed(found: Agreement, graph: Surface, steps: int) -> NDArray[np.int32]:
    """Return (N,) int32, the cluster that each Gaussian agrees with most after ``steps`` steps of smoothing.

    Gaussians outside the graph, or without any agreement, get 0. Those that agree only with the background keep it.
    """
    return next(smoothed_after(found, graph, [steps]))


def smoothed_after(found: Agreement, graph: Surface, stops: Iterable[int]) -> Iterator[NDArray[np.int32]]:
    """Yield the result of :func:`smoothed` for each of ``stops``, numbers of steps in ascending order."""
    cluster, value = found.cluster[graph.rows], found.value[graph.rows]
    open_to = np.flatnonzero((cluster[:, 0] != 0) | (cluster[:, 1] > 0))
    done = 0
    for stop in stops:
        for _ in range(done, stop):
            new = cluster.copy(), value.copy()
            spread(_step, len(open_to), graph.near, graph.weight, cluster, value, open_to, *new, least=LEAST)
            cluster, value = new
        done = stop
        out = np.maximum(found.cluster[:, 0], 0)
        out[graph.rows] = np.maximum(cluster[:, 0], 0)
        yield out


@kernel()
def _step(begin, end, near, weight, cluster, value, rows, new_cluster, new_value):  # pragma: no cover - compiled
    k, kept = near.shape[1], cluster.shape[1]
    found = np.empty((k + 1) * kept, np.int32)
    sums = np.empty((k + 1) * kept, np.float32)
    for at in range(begin, end):
        i = rows[at]
        count = 0
        whole = np.float32(1.0)
        for j in range(-1, k):
            if j < 0:
                other, part = i, np.float32(1.0)
            else:
                other, part = np.int64(near[i, j]), weight[i, j]
                whole += part
            for t in range(kept):
                c = cluster[other, t]
                if c < 0:
                    break
                place = 0
                while place < count and found[place] != c:
                    place += 1
                if place == count:
                    found[count], sums[count] = c, np.float32(0.0)
                    count += 1
                sums[place] += part * value[other, t]
        for t in range(kept):
            new_cluster[i, t], new_value[i, t] = -1, 0
        for a in range(count):
            mean = sums[a] / whole
            place = kept - 1
            if mean <= new_value[i, place]:
                continue
            while place > 0 and mean > new_value[i, place - 1]:
                new_cluster[i, place], new_value[i, place] = new_cluster[i, place - 1], new_value[i, place - 1]
                place -= 1
            new_cluster[i, place], new_value[i, place] = found[a], mean
