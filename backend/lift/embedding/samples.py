"""Training pixels: a few thousand per view, with the Gaussians that contribute to them.

With frozen geometry the contributions are constant, so each view is rasterised once and training is sparse algebra.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from backend.lift.evidence.views import MaskedView
from backend.progress import Progress
from backend.render.types import Contributions
from backend.scene.types import Camera


class Contributor(Protocol):
    """The interface of :class:`backend.render.Renderer` for contributions."""

    def contributions(self, camera: Camera, pixels: NDArray[np.int64] | None, k: int) -> Contributions: ...


@dataclass(frozen=True)
class ViewSamples:
    """Pixels of one view.

    Attributes:
        ids: (P, k) int32, Gaussians, strongest first.
        weights: (P, k) float32, their weights, which sum to 1 for each pixel that shows anything.
        segment: (P,) int32, the pixel's mask id, including 0.
        boundary: (P,) bool, pixels next to another segment.
        stands_for: (P,) float32, how many pixels of the view one stands for: the inverse of the probability with which
            it was drawn. Pixels on masks and at boundaries are drawn more often than others.
    """

    ids: NDArray[np.int32]
    weights: NDArray[np.float32]
    segment: NDArray[np.int32]
    boundary: NDArray[np.bool_]
    stands_for: NDArray[np.float32]


def sample_view(
    renderer: Contributor,
    view: MaskedView,
    *,
    pixels: int,
    boundary_pixels: int,
    band: int,
    strongest: int,
    rng: np.random.Generator,
) -> ViewSamples:
    """Sample pixels of a view: three quarters of ``pixels`` on objects, the rest anywhere, then those at boundaries.

    Void pixels are not sampled.

    Args:
        renderer: computes the contributions.
        view: the camera and its mask.
        pixels: number of pixels, without those at boundaries.
        boundary_pixels: number of pixels within ``band`` pixels of another segment.
        band: in pixels of the mask.
        strongest: k.
        rng: random generator.
    """
    mask = view.mask
    edge = at_boundary(mask, band)
    missed = np.ones(mask.size)
    at_edge = _draw(edge, boundary_pixels, missed, rng)
    on_object = _draw(mask > 0, 3 * pixels // 4, missed, rng)
    anywhere = _draw(mask >= 0, pixels - len(on_object), missed, rng)
    # A pixel drawn twice would be trained twice, so duplicates are removed.
    chosen = np.unique(np.concatenate([on_object, anywhere, at_edge]))
    found = renderer.contributions(view.camera, chosen.astype(np.int64), strongest)
    shows = found.weights[:, 0] > 0
    chosen, ids, weights = found.pixels[shows], found.ids[shows], found.weights[shows]
    weights = weights / weights.sum(1, keepdims=True)
    stands_for = (1 / (1 - missed[chosen])).astype(np.float32)
    return ViewSamples(ids, weights, mask.ravel()[chosen], edge.ravel()[chosen], stands_for)


def at_boundary(mask: NDArray[np.int32], band: int) -> NDArray[np.bool_]:
    """Return the (H, W) pixels of ``mask`` within ``band`` pixels of another id; void does not count as an id."""
    size = 2 * band + 1
    least = np.asarray(minimum_filter(np.where(mask < 0, np.iinfo(np.int32).max, mask), size))
    return (mask >= 0) & (least != np.asarray(maximum_filter(mask, size)))


def sample_views(
    renderer: Contributor, views: Iterable[MaskedView], count: int, progress: Progress, seed: int, **how: int
) -> list[ViewSamples]:
    """Return :func:`sample_view` of the views that show at least two segments; others cannot be contrasted."""
    rng = np.random.default_rng(seed)
    samples = []
    for number, view in enumerate(views):
        progress("lift", 0.4 * number / max(count, 1), f"sampling {view.name}")
        found = sample_view(renderer, view, **how, rng=rng)
        if len(np.unique(found.segment)) > 1:
            samples.append(found)
    return samples


def _draw(
    candidates: NDArray[np.bool_], most: int, missed: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw pixel numbers among ``candidates``; multiply ``missed``, their probability not to be drawn, in place."""
    found = np.flatnonzero(candidates.ravel())
    if len(found) == 0:
        return found
    missed[found] *= 1 - min(most / len(found), 1)
    return found if len(found) <= most else rng.choice(found, most, replace=False)
