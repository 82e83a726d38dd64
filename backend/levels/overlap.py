"""The overlap of each mask with each group of Gaussians, in pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

from backend.levels.votes import LayerVotes

VISIBLE_SHARE = 0.1
"""A view shows a group if its weight is this share of the group's weight in its best view."""
FITS = 0.5
"""Least intersection over union at which a mask fits a group."""
HELD = 0.5
"""Least share of a group's visible weight at which a mask contains it."""


@dataclass(frozen=True)
class Overlap:
    """The overlap of M masks with C groups.

    Attributes:
        pixels: (C, M + 1) sparse, weight of each group in each mask.
        area: (M + 1,) float64, weight of all Gaussians in each mask.
        shown: (C, V) float64, weight of each group in each view.
        mask_view: (M + 1,) int32.
        trust: (M + 1,) float32.
    """

    pixels: csc_matrix
    area: NDArray[np.float64]
    shown: NDArray[np.float64]
    mask_view: NDArray[np.int32]
    trust: NDArray[np.float32]

    @cached_property
    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Groups, masks and their intersection over union, (E,) each, for overlapping pairs."""
        found = self.pixels.tocoo()
        group, mask, pixels = found.row.astype(np.int64), found.col.astype(np.int64), found.data
        union = self.area[mask] + self.shown[group, self.mask_view[mask]] - pixels
        return group, mask, pixels / np.maximum(union, 1e-12)

    @property
    def visible(self) -> NDArray[np.bool_]:
        """(C, V) bool, which views show which groups."""
        return self.shown > VISIBLE_SHARE * self.shown.max(1, initial=0, keepdims=True)

    def fitted(self) -> NDArray[np.float64]:
        """Return (C,) float64, how often the masks that contain a group also fit it.

        Among the views in which a mask contains half of the group's visible weight, the share in which one fits it: its
        intersection over union is :data:`FITS`. Each view counts with the trust of its surest such mask. 0 without such
        views.
        """
        group, mask, iou = self.pairs
        share = self.share(group, mask)
        fits, holds = (self._surest(group[is_one], mask[is_one]).sum(1) for is_one in (iou >= FITS, share >= HELD))
        return np.minimum(1.0, fits / np.maximum(holds, 1e-12))

    def covering(self, least: float) -> NDArray[np.int64]:
        """Return (M + 1,) int64, the group with the largest share of each mask, if at least ``least``; else -1."""
        group, mask, _ = self.pairs
        share = self.share(group, mask)
        order = np.lexsort((-group, share))
        order = order[share[order] >= least]
        result = np.full(len(self.area), -1, np.int64)
        result[mask[order]] = group[order]
        return result

    def share(self, group: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (E,) float64, the share of each group, as visible in the mask's view, that lies in the mask."""
        pixels = np.asarray(self.pixels[group, mask]).ravel()
        return pixels / np.maximum(self.shown[group, self.mask_view[mask]], 1e-12)

    def _surest(self, group: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (C, V) float64, the largest trust of the given masks per group and view."""
        best = np.zeros(self.shown.shape)
        np.maximum.at(best, (group, self.mask_view[mask]), self.trust[mask])
        return best * self.visible


def overlap_of(votes: LayerVotes, group: NDArray[np.int32]) -> Overlap:
    """Return the overlap of all masks with the groups (N,) int32 from 0; -1 for no group."""
    evidence = votes.evidence
    groups = int(group.max(initial=-1)) + 1
    of_entry = group[evidence.gaussian]
    masked = evidence.mask > 0
    area = np.asarray(np.bincount(evidence.mask[masked], evidence.own[masked], evidence.masks + 1), np.float64)
    used = masked & (of_entry >= 0)
    pixels = csc_matrix(
        (evidence.own[used].astype(np.float64), (of_entry[used], evidence.mask[used])),
        shape=(groups, evidence.masks + 1),
    )
    first = np.append(True, np.diff(votes.layer_view) > 0)[evidence.view]
    used = first & (of_entry >= 0)
    cell = of_entry[used].astype(np.int64) * votes.views + votes.layer_view[evidence.view[used]]
    shown = np.asarray(np.bincount(cell, evidence.total[used], groups * votes.views), np.float64)
    return Overlap(pixels, area, shown.reshape(groups, votes.views), votes.mask_view, votes.trust)
