"""Which part belongs to which object."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from backend.lift.types import Parts

LEAST_SHARE = 0.02
"""Least share of an object's Gaussians for a part."""


def parts_of_wholes(means: NDArray[np.float32], labels: NDArray[np.int32], group: NDArray[np.int32]) -> Parts:
    """Return the parts of labelled objects.

    Args:
        means: (N, 3) float32, centres.
        labels: (N,) int32, objects from 1, 0 for background.
        group: (N,) int32, parts according to the masks, from 0; -1 if unknown. A part belongs to the object that
            contains most of it. Other Gaussians of an object join its nearest part.
    """
    holder = _holder(group, labels)
    part = np.zeros(len(labels), np.int32)
    whole = [0]
    for label in range(1, int(labels.max(initial=0)) + 1):
        rows = np.flatnonzero(labels == label)
        known = rows[(group[rows] >= 0) & (holder[np.maximum(group[rows], 0)] == label)]
        groups, inverse, count = np.unique(group[known], return_inverse=True, return_counts=True)
        large = count >= LEAST_SHARE * len(rows)
        if large.sum() < 2:
            continue
        known, inverse = known[large[inverse]], inverse[large[inverse]]
        # Number parts by size, the largest first.
        rank = np.empty(len(groups), np.int32)
        rank[np.argsort(-count, kind="stable")] = np.arange(len(groups))
        _, near = KDTree(means[known]).query(means[rows], workers=-1)
        part[rows] = len(whole) + rank[inverse[near]]
        whole += [label] * int(large.sum())
    return Parts(part, np.array(whole, np.int32))


def wholes_of_parts(labels: NDArray[np.int32], group: NDArray[np.int32]) -> Parts:
    """Return the labels (N,) as parts, with the object of each; objects are numbered from 1 by size.

    Args:
        labels: (N,) int32, parts from 1, 0 for background.
        group: (N,) int32, objects according to the masks, from 0; -1 if unknown.
    """
    of_label = _holder(np.where(labels > 0, labels, -1), np.where(group >= 0, group + 1, 0))
    of_label = np.append(of_label, 0)[: int(labels.max(initial=0)) + 1]
    size = np.bincount(labels, minlength=len(of_label))
    # A part that belongs to no object becomes a separate object.
    alone = (of_label == 0) & (np.arange(len(of_label)) > 0)
    of_label = np.where(alone, of_label.max(initial=0) + np.cumsum(alone), of_label)
    of_label[0] = 0
    total = np.bincount(of_label[1:], size[1:], int(of_label.max(initial=0)) + 1)
    order = np.argsort(-total, kind="stable")
    order = order[(total[order] > 0) & (order > 0)]
    number = np.zeros(len(total), np.int32)
    number[order] = np.arange(1, len(order) + 1)
    return Parts(labels, number[of_label].astype(np.int32))


def _holder(group: NDArray[np.int32], label: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return (G,) int32, the positive label with the most Gaussians of each group; 0 if there is none."""
    used = (group >= 0) & (label > 0)
    holder = np.zeros(int(group.max(initial=-1)) + 1, np.int32)
    pairs, count = np.unique(np.stack([group[used], label[used]]), axis=1, return_counts=True)
    order = np.lexsort((pairs[1], -count, pairs[0]))
    groups, first = np.unique(pairs[0][order], return_index=True)
    holder[groups] = pairs[1][order][first]
    return holder
