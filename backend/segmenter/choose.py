"""Selects the photographs that get masks: a few that cover the scene."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from backend.scene.types import View

SHARE = 0.2
"""Share of the photographs; with masks of a fifth PQ is 99.1, with masks of all 99.9, see docs/benchmarks.md."""
FEWEST = 16
"""Least number of photographs that get masks, if there are as many."""


def enough(count: int) -> int:
    """Return how many of ``count`` photographs need masks."""
    return min(count, max(FEWEST, math.ceil(SHARE * count)))


def choose_views(views: Sequence[View], count: int) -> list[View]:
    """Return ``count`` of ``views``, or all if there are fewer, in their order, that cover the scene.

    Farthest-point sampling (Gonzalez 1985) over camera positions, in units of their mean distance from the centre, and
    viewing directions, as unit vectors. The first is the one nearest to the mean; ties go to the first in order.
    """
    if count >= len(views):
        return list(views)
    centres = np.array([view.camera.centre for view in views])
    looks = np.array([view.camera.viewmat[2, :3] for view in views])
    away = centres - centres.mean(axis=0)
    extent = np.linalg.norm(away, axis=1).mean()
    places = np.hstack([away / extent if extent > 0 else away, looks])
    chosen = [int(np.argmin(np.linalg.norm(places - places.mean(axis=0), axis=1)))]
    distances = np.linalg.norm(places - places[chosen[0]], axis=1)
    while len(chosen) < count:
        distances[chosen] = -1.0
        chosen.append(int(np.argmax(distances)))
        distances = np.minimum(distances, np.linalg.norm(places - places[chosen[-1]], axis=1))
    return [views[i] for i in sorted(chosen)]
