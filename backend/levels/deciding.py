"""What the masks of all views show: objects, their parts, and background; and which masks show it in each view."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.levels.background import background_wholes
from backend.levels.grouping import parts, wholes
from backend.levels.overlap import Overlap, overlap_of
from backend.levels.painting import COVERED, painted
from backend.levels.votes import LayerVotes
from backend.lift.consensus.supervoxels import supervoxels
from backend.scene.types import VOID

LEVELS = ("whole", "part")
LEAST_PART = 0.5
"""A part that masks which hold it fit more rarely is none."""
LEAST_REST = 0.25
"""What is left of an object beside its parts is a part too from this share of the object on. Less are Gaussians at the
edges of the others."""


@dataclass(frozen=True)
class Choosing:
    """How masks are compared; the defaults were chosen on few rooms, see docs/benchmarks.md.

    Attributes:
        whole: regions are of one object if a mask holds both in more than this share of the views that mask both.
        part: regions are of one part if their smallest mask is the same in more than this share.
        voxel, smallest: of the regions, as in :class:`backend.lift.consensus.settings.ConsensusSettings`.
    """

    whole: float = 0.5
    part: float = 0.6
    voxel: float = 4.0
    smallest: int = 5


@dataclass(frozen=True)
class Decision:
    """What masks show.

    Attributes:
        whole, part: (N,) int32, the object and the part of each Gaussian, from 0; -1 for background and where the masks
            do not tell. No part lies in two objects.
        numbers: (M + 1,) int32, the id that each mask is painted with; 0 where it is left out.
        background: how many masks show background.
    """

    whole: NDArray[np.int32]
    part: NDArray[np.int32]
    numbers: NDArray[np.int32]
    background: int


def decide(
    means: NDArray[np.float32], votes: LayerVotes, inside: NDArray[np.bool_], level: str, how: Choosing
) -> Decision:
    """Compare the masks.

    Args:
        means: (N, 3) float32, centres of the Gaussians.
        votes: for the masks.
        inside: (N,) bool, Gaussians in a plane that bounds the scene.
        level: which of :data:`LEVELS` is painted.
        how: what counts as one.
    """
    evidence = votes.evidence
    named = np.zeros(len(means), bool)
    named[evidence.gaussian[evidence.sure]] = True
    # As many voxels as the masks of a view ask for, not those of a layer.
    of_views = replace(evidence, views=votes.views)
    region = supervoxels(means, of_views, evidence.seen & named, how.voxel, how.smallest)
    whole = wholes(votes, means, region, how.whole)
    if whole.max(initial=-1) < 0:
        return Decision(whole, whole, np.zeros(evidence.masks + 1, np.int32), evidence.masks)
    overlap = overlap_of(votes, whole)
    behind = background_wholes(overlap, whole, evidence.weight, inside)
    object_of = np.where((whole >= 0) & ~behind[np.maximum(whole, 0)], whole, -1).astype(np.int32)
    group, rest = _parts(means, votes, whole, overlap, how)
    numbers = painted(overlap, behind)
    if level == "part":
        numbers = _part_numbers(votes, group, whole, behind, rest, overlap.covering(COVERED), numbers)
    return Decision(object_of, np.where(object_of >= 0, group, -1), numbers, _count(overlap, behind))


def _parts(
    means: NDArray[np.float32], votes: LayerVotes, whole: NDArray[np.int32], overlap: Overlap, how: Choosing
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return (N,) int32 the part of each Gaussian, and (C,) int32 the part of each whole that is its rest, else -1."""
    # Masks of whole objects say nothing of parts: a model misses parts more often than it finds none.
    finest = votes.finest(overlap.covering(COVERED) < 0)
    region = supervoxels(means, finest, whole >= 0, how.voxel, how.smallest)
    group = parts(finest, region, whole, how.part)
    fits = np.append(overlap_of(votes, group).fitted() >= LEAST_PART, False)
    weight = votes.evidence.weight
    result = np.full(len(group), -1, np.int32)
    rest = np.full(int(whole.max(initial=-1)) + 1, -1, np.int32)
    count = 0
    for number in range(len(rest)):
        rows = np.flatnonzero(whole == number)
        shown = fits[group[rows]]
        present, place = np.unique(group[rows[shown]], return_inverse=True)
        result[rows[shown]] = count + place
        count += len(present)
        left = rows[~shown]
        if not len(present) or weight[left].sum() >= LEAST_REST * weight[rows].sum():
            result[left] = count
            rest[number] = count if len(present) else -1
            count += 1
    return result, rest


def _part_numbers(
    votes: LayerVotes,
    group: NDArray[np.int32],
    whole: NDArray[np.int32],
    behind: NDArray[np.bool_],
    rest: NDArray[np.int32],
    covered: NDArray[np.int64],
    of_wholes: NDArray[np.int32],
) -> NDArray[np.int32]:
    """Return the numbers (M + 1,) of masks that show parts.

    The mask of an object shows its rest where every other part of it that the view shows has a mask there; else nothing
    is known of what lies in no mask of a part.
    """
    count = int(group.max(initial=-1)) + 1
    of_part = np.zeros(count, np.int64)
    of_part[group[group >= 0]] = whole[group >= 0]
    overlap = overlap_of(votes, group)
    unseen = overlap.visible
    shown_parts = np.zeros((len(rest), votes.views), np.int64)
    np.add.at(shown_parts, of_part, unseen)
    is_whole = (covered >= 0) & (shown_parts[covered, votes.mask_view] > 1)
    numbers = painted(overlap, behind[of_part], is_whole)
    shown = numbers > 0
    unseen[numbers[shown] - 1, votes.mask_view[shown]] = False
    unseen[rest[rest >= 0]] = False
    incomplete = np.zeros((len(rest), votes.views), bool)
    np.logical_or.at(incomplete, of_part, unseen)
    masks = np.flatnonzero(~shown & (of_wholes > 0))
    of_mask = of_wholes[masks] - 1
    known = (rest[of_mask] >= 0) & ~incomplete[of_mask, votes.mask_view[masks]]
    numbers[masks] = np.where(known, rest[of_mask] + 1, VOID)
    return numbers


def _count(overlap: Overlap, behind: NDArray[np.bool_]) -> int:
    """How many masks show no object mostly."""
    shown = (~behind).astype(np.float64) @ overlap.pixels
    return int(np.count_nonzero(shown[1:] < 0.5 * overlap.area[1:]))
