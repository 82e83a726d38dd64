"""Decides which masks show objects, parts and background, and which masks represent them in each view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.levels.background import background_wholes, shares_in_picture
from backend.levels.grouping import parts, wholes
from backend.levels.overlap import Overlap, overlap_of
from backend.levels.painting import COVERED, painted
from backend.levels.votes import LayerVotes
from backend.lift.consensus.supervoxels import supervoxels
from backend.scene.types import VOID, Camera

LEVELS = ("whole", "part")
LEAST_PART = 0.5
"""A part is dropped if a smaller share of the masks that contain it fit it."""
LEAST_REST = 0.25
"""The remainder of an object outside its parts is a part too if it is at least this share of the object. Smaller
remainders are usually Gaussians at the edges of the other parts."""
ONE_OBJECT = 0.5
"""Regions belong to one object if a mask contains both in more than this share of the views with masks on both. This
constant and the next three were chosen on few rooms, see docs/benchmarks.md."""
ONE_PART = 0.6
"""Regions belong to one part if their smallest mask is the same in more than this share."""
VOXEL = 4.0
SMALLEST = 5
"""Size of the regions, as in :class:`backend.lift.consensus.settings.ConsensusSettings`."""


@dataclass(frozen=True)
class Decision:
    """Objects and parts according to the masks.

    Attributes:
        whole, part: (N,) int32, the object and the part of each Gaussian, from 0; -1 for background or unknown. Every
            part lies in one object.
        numbers: (M + 1,) int32, the id that each mask is painted with; 0 if it is not used.
        background: number of background masks.
    """

    whole: NDArray[np.int32]
    part: NDArray[np.int32]
    numbers: NDArray[np.int32]
    background: int


def decide(
    means: NDArray[np.float32], cameras: Sequence[Camera], votes: LayerVotes, inside: NDArray[np.bool_], level: str
) -> Decision:
    """Decide on objects and parts by comparing the masks.

    Args:
        means: (N, 3) float32, centres of the Gaussians.
        cameras: of the views that have masks.
        votes: for the masks.
        inside: (N,) bool, Gaussians in a plane that bounds the scene.
        level: which of :data:`LEVELS` is painted.
    """
    evidence = votes.evidence
    named = np.zeros(len(means), bool)
    named[evidence.gaussian[evidence.sure]] = True
    # The number of voxels depends on the number of masks per view, not per layer.
    of_views = replace(evidence, views=votes.views)
    region = supervoxels(means, of_views, evidence.seen & named, VOXEL, SMALLEST)
    whole = wholes(votes, means, region, ONE_OBJECT)
    if whole.max(initial=-1) < 0:
        return Decision(whole, whole, np.zeros(evidence.masks + 1, np.int32), evidence.masks)
    overlap = overlap_of(votes, whole)
    in_picture = shares_in_picture(means, whole, evidence.weight, overlap.visible, cameras)
    behind = background_wholes(overlap, whole, evidence.weight, inside, in_picture)
    object_of = np.where((whole >= 0) & ~behind[np.maximum(whole, 0)], whole, -1).astype(np.int32)
    group, rest = _parts(means, votes, whole, overlap)
    numbers = painted(overlap, behind)
    if level == "part":
        numbers = _part_numbers(votes, group, whole, behind, rest, overlap.covering(COVERED), numbers)
    return Decision(object_of, np.where(object_of >= 0, group, -1), numbers, _count(overlap, behind))


def _parts(
    means: NDArray[np.float32], votes: LayerVotes, whole: NDArray[np.int32], overlap: Overlap
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return (N,) int32 the part of each Gaussian, and (C,) int32 the part that is the remainder of each object, or
    -1."""
    # Masks of whole objects are no evidence about parts, because models often miss parts.
    finest = votes.finest(overlap.covering(COVERED) < 0)
    region = supervoxels(means, finest, whole >= 0, VOXEL, SMALLEST)
    group = parts(finest, region, whole, ONE_PART)
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
    """Return the painted numbers (M + 1,) at the level of parts.

    The mask of an object shows its remainder if every other visible part of it has a mask in that view. Otherwise
    pixels outside the masks of parts are unknown.
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
    """Return how many masks show mostly background."""
    shown = (~behind).astype(np.float64) @ overlap.pixels
    return int(np.count_nonzero(shown[1:] < 0.5 * overlap.area[1:]))
