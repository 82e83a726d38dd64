"""Masks that lie on one another, to one id map a view: of whole objects, or of their parts.

A model that segments everything gives wholes, their parts, and pieces of floor and wall, each with a score. ``choose``
compares the masks of all views through the Gaussians that they show, finds what is an object, what is a part of it and
what is background, and chooses in each view the masks that show it. Any lifting method reads what was chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.levels.background import background_wholes, bounds, in_planes
from backend.levels.grouping import parts, wholes
from backend.levels.overlap import overlap_of
from backend.levels.painting import painted
from backend.levels.tree import Parts, parts_of_wholes, wholes_of_parts
from backend.levels.votes import LayerVotes, gather_layer_votes
from backend.lift.consensus.supervoxels import supervoxels
from backend.lift.evidence.views import ChosenView, LayeredView, MaskedView, layered_view
from backend.progress import Progress, silent
from backend.render import Renderer
from backend.scene.mask_sets import has_mask_set
from backend.scene.types import View
from protocol.errors import BadArgument, BadSplats
from protocol.splats import Splats

__all__ = ["LEVELS", "Choice", "Choosing", "Parts", "choose", "is_layered"]

LEVELS = ("whole", "part")


@dataclass(frozen=True)
class Choosing:
    """How masks are compared; the defaults were chosen on few rooms, see docs/benchmarks.md.

    Attributes:
        whole: regions are of one whole if a mask holds both in more than this share of the views that mask both.
        part: regions are of one part if their smallest mask is the same in more than this share.
        voxel, smallest: of the regions, as in :class:`backend.lift.consensus.settings.ConsensusSettings`.
        scores, nesting, planes: whether scores count; whether a mask that holds two regions outweighs smaller ones that
            part them; whether planes that bound the scene are background. Without, for comparison.
    """

    whole: float = 0.5
    part: float = 0.6
    voxel: float = 4.0
    smallest: int = 5
    scores: bool = True
    nesting: bool = True
    planes: bool = True


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        views: the given views that have masks, with one id map each.
        level: of :data:`LEVELS`.
        whole, part: (N,) int32, the object and the part of each Gaussian as the masks tell, from 0; -1 for background
            and where the masks do not tell.
        masks: how many masks all views have.
        background: how many of them show floor, walls, sky and other background.
        planes: how many planes bound the scene.
    """

    views: list[ChosenView]
    level: str
    whole: NDArray[np.int32]
    part: NDArray[np.int32]
    masks: int
    background: int
    planes: int

    def parts(self, splats: Splats, labels: NDArray[np.int32]) -> Parts:
        """Return which part belongs to which object, for the labels (N,) that a method made of :attr:`views`."""
        if self.level == "part":
            return wholes_of_parts(labels, self.whole)
        return parts_of_wholes(splats.means, labels, self.part)

    @property
    def sentence(self) -> str:
        """What is told of the masks."""
        return (
            f"{self.background:,} of {self.masks:,} masks show floor, walls or other background and were ignored."
            if self.background
            else f"No mask of {self.masks:,} was treated as background."
        )


def is_layered(views: Sequence[View | MaskedView | LayeredView]) -> bool:
    """Whether some masks of a view lie on one another or have scores.

    Raises:
        BadMask: if a mask cannot be read.
    """
    for view in views:
        if isinstance(view, View) and not has_mask_set(view):
            continue
        found = layered_view(view)
        if found is not None and (len(found.layers) > 1 or found.scores is not None):
            return True
    return False


def choose(
    splats: Splats,
    views: Sequence[View | MaskedView | LayeredView],
    *,
    level: str = "whole",
    device: str = "cpu",
    seed: int = 0,
    how: Choosing | None = None,
    progress: Progress = silent,
) -> Choice:
    """Choose the masks that show objects, or parts.

    Args:
        splats: N Gaussians in the frame of the cameras; those with a value that is not finite are in no object.
        views: those without a mask are passed over.
        level: one of :data:`LEVELS`.
        device: "cpu", "cuda" or "auto"; where Gaussians are rasterised.
        seed: of every random draw.
        how: None for the defaults.
        progress: told under the stage "contributions".

    Raises:
        BadArgument: if there is no such level.
        BadMask: if a mask cannot be read.
        BadSplats: if there is no finite Gaussian.
        Cancelled: from ``progress``.
    """
    if level not in LEVELS:
        raise BadArgument(f"The level {level!r} does not exist.", f"Choose one of {', '.join(LEVELS)}.")
    how = how or Choosing()
    columns = (splats.means, splats.quats, splats.scales, splats.opacities, splats.sh)
    finite = np.logical_and.reduce([np.isfinite(c).all(axis=tuple(range(1, c.ndim))) for c in columns])
    if not finite.any():
        raise BadSplats(f"None of the {len(splats)} Gaussians can be labelled: no Gaussian has finite values.")
    used = splats if finite.all() else splats.pick(finite)
    renderer = Renderer(used, device)
    masked: list[View | MaskedView | LayeredView] = []
    sizes: list[int] = []

    def read() -> Iterator[LayeredView]:
        for view in views:
            found = layered_view(view)
            if found is not None:
                masked.append(view)
                count = max(int(found.layers.max(initial=0)), 0 if found.scores is None else len(found.scores))
                sizes.append(count + 1)
                yield found if how.scores else LayeredView(found.name, found.camera, found.layers)

    votes = gather_layer_votes(renderer, read(), len(used), progress, len(views))
    whole, part, numbers, background, planes = _found(used, votes, views, level, renderer.device, seed, how)
    chosen = []
    for number, (view, size) in enumerate(zip(masked, sizes, strict=True)):
        of_view = np.flatnonzero(votes.mask_view == number)
        ids = np.zeros(size, np.int32)
        ids[votes.mask_id[of_view]] = numbers[of_view]
        chosen.append(ChosenView(view, ids))
    groups = [np.full(len(splats), -1, np.int32) for _ in range(2)]
    for group, values in zip(groups, (whole, part), strict=True):
        group[finite] = values
    return Choice(chosen, level, groups[0], groups[1], votes.evidence.masks, background, planes)


def _found(
    splats: Splats,
    votes: LayerVotes,
    views: Sequence[View | MaskedView | LayeredView],
    level: str,
    device: str,
    seed: int,
    how: Choosing,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], int, int]:
    """Wholes and parts of the Gaussians, the number that each mask gets, masks of background, and planes."""
    evidence = votes.evidence
    named = np.zeros(len(splats), bool)
    named[evidence.gaussian[evidence.sure]] = True
    # As many voxels as the masks of a view ask for, not those of a layer.
    of_views = replace(evidence, views=votes.views)
    region = supervoxels(splats.means, of_views, evidence.seen & named, how.voxel, how.smallest)
    area = np.bincount(evidence.mask, evidence.own, evidence.masks + 1)
    if how.nesting:
        whole = wholes(votes, splats.means, region, how.whole)
    else:
        whole = parts(votes, region, np.zeros(len(region), np.int32), area, how.part)
    inside, planes = np.zeros(len(splats), bool), []
    flat = np.zeros(int(whole.max(initial=-1)) + 1, bool)
    if how.planes:
        cameras = [view.camera for view in views]
        inside, planes = in_planes(splats, cameras, device, seed)
        flat = bounds(splats.means, whole, evidence.weight, cameras)
    overlap = overlap_of(votes, whole)
    behind = background_wholes(overlap, whole, evidence.weight, inside, flat)
    part = parts(votes, region, whole, area, how.part)
    if level == "whole":
        numbers = painted(overlap, behind)
    else:
        of_part = np.zeros(int(part.max(initial=-1)) + 1, np.int64)
        of_part[part[part >= 0]] = whole[part >= 0]
        numbers = painted(overlap_of(votes, part), behind[of_part])
    shows = np.zeros(len(area))
    group, mask, _ = overlap.pairs
    of_background = behind[group]
    shows = np.bincount(mask[of_background], np.asarray(overlap.pixels[group, mask]).ravel()[of_background], len(area))
    background = int(np.count_nonzero(shows[1:] > 0.5 * area[1:]))
    objects = (whole >= 0) & ~behind[np.maximum(whole, 0)]
    return np.where(objects, whole, -1), np.where(objects, part, -1), numbers, background, len(planes)
