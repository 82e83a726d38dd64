"""Converts overlapping masks to one id map per view: of whole objects, or of their parts.

A segment-everything model produces masks of whole objects, of parts, and of pieces of floor and wall, each with a
score. ``choose`` compares the masks of all views through the Gaussians that they cover, decides which are objects,
parts and background, and selects masks in each view. Every lifting method reads the selected masks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.levels.background import in_planes
from backend.levels.deciding import LEVELS, decide
from backend.levels.tree import parts_of_wholes, wholes_of_parts
from backend.levels.votes import gather_layer_votes
from backend.lift.evidence.views import ChosenView, LayeredView, MaskedView, layered_view
from backend.lift.types import Parts
from backend.progress import Progress, silent
from backend.render import Renderer
from backend.scene.mask_sets import has_mask_set
from backend.scene.types import View
from protocol.errors import BadArgument, BadSplats
from protocol.splats import Splats

__all__ = ["LEVELS", "Choice", "Parts", "choose", "is_layered"]

Masked = View | MaskedView | LayeredView


@dataclass(frozen=True)
class Choice:
    """The selected masks.

    Attributes:
        views: those that have masks, with one id map each.
        level: of :data:`LEVELS`.
        whole, part: (N,) int32, the object and the part of each Gaussian according to the masks, from 0; -1 for
            background or unknown.
        masks: number of masks in all views.
        background: number of masks of floor, walls, sky and other background.
        planes: number of planes that bound the scene.
    """

    views: list[ChosenView]
    level: str
    whole: NDArray[np.int32]
    part: NDArray[np.int32]
    masks: int
    background: int
    planes: int

    @property
    def sentence(self) -> str:
        """A sentence for the user about the masks."""
        return (
            f"{self.background:,} of {self.masks:,} masks show parts of floor, walls, ceiling or sky and were treated "
            "as background."
        )

    def as_dict(self) -> dict:
        """The values for the report."""
        return {
            "level": self.level,
            "masks": self.masks,
            "background_masks": self.background,
            "planes": self.planes,
        }

    def parts(self, splats: Splats, labels: NDArray[np.int32]) -> Parts:
        """Return which part belongs to which object, for the labels (N,) that a method computed from :attr:`views`."""
        if self.level == "part":
            return wholes_of_parts(labels, self.whole)
        return parts_of_wholes(splats.means, labels, self.part)


def is_layered(views: Sequence[Masked]) -> bool:
    """Whether masks of a view overlap or have scores.

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
    views: Sequence[Masked],
    *,
    level: str = "whole",
    points: NDArray[np.floating] | None = None,
    device: str = "cpu",
    seed: int = 0,
    progress: Progress = silent,
) -> Choice:
    """Select the masks of objects, or of parts.

    Args:
        splats: N Gaussians in the frame of the cameras; those with a non-finite value belong to no object.
        views: those without a mask are skipped.
        level: one of :data:`LEVELS`.
        points: (P, 3), sparse points of structure from motion, in the same frame. They show planes that the Gaussians
            represent as fog.
        device: "cpu", "cuda" or "auto"; for rasterisation.
        seed: random seed.
        progress: told under the stage "contributions".

    Raises:
        BadArgument: if there is no such level.
        BadMask: if a mask cannot be read.
        BadSplats: if there is no finite Gaussian.
        Cancelled: from ``progress``.
    """
    if level not in LEVELS:
        raise BadArgument(f"The level {level!r} does not exist.", f"Choose one of {', '.join(LEVELS)}.")
    finite = splats.finite
    if not finite.any():
        raise BadSplats(f"None of the {len(splats)} Gaussians can be labelled: no Gaussian has finite values.")
    used = splats if finite.all() else splats.pick(finite)
    renderer = Renderer(used, device)
    masked: list[Masked] = []
    sizes: list[int] = []

    def read() -> Iterator[LayeredView]:
        for view in views:
            found = layered_view(view)
            if found is not None:
                masked.append(view)
                sizes.append(max(int(found.layers.max(initial=0)), 0) + 1)
                yield found

    votes = gather_layer_votes(renderer, read(), len(used), progress, len(views))
    cameras = [view.camera for view in masked]
    inside, planes = in_planes(used, cameras, points, renderer.device, seed)
    found = decide(used.means, cameras, votes, inside, level)
    chosen = []
    for number, (view, size) in enumerate(zip(masked, sizes, strict=True)):
        of_view = np.flatnonzero(votes.mask_view == number)
        ids = np.zeros(size, np.int32)
        ids[votes.mask_id[of_view]] = found.numbers[of_view]
        chosen.append(ChosenView(view, ids))
    whole, part = (np.full(len(splats), -1, np.int32) for _ in range(2))
    whole[finite], part[finite] = found.whole, found.part
    return Choice(chosen, level, whole, part, votes.evidence.masks, found.background, len(planes))
