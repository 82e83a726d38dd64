"""Training pixels: a few thousand per view, with the Gaussians that contribute to them.

With frozen geometry the contributions are constant, so each view is rasterised once and training is sparse algebra.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from backend.lift.evidence.views import MaskedView
from backend.lift.label_maps import Contributor
from backend.progress import Progress


@dataclass(frozen=True)
class ViewSamples:
    """Pixels of one view.

    Attributes:
        ids: (P, k) int32, Gaussians, strongest first.
        weights: (P, k) float32, their weights, which sum to 1 for each pixel that shows anything.
        segment: (P,) int32, the pixel's mask id, including 0.
        boundary: (P,) bool, pixels next to another segment.
        on_objects: share of the view's pixels, excluding void, that lie on masks. Pixels on masks are drawn more often.
    """

    ids: NDArray[np.int32]
    weights: NDArray[np.float32]
    segment: NDArray[np.int32]
    boundary: NDArray[np.bool_]
    on_objects: float


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
    at_edge = _draw(np.flatnonzero(edge.ravel()), boundary_pixels, rng)
    on_object = _draw(np.flatnonzero(mask.ravel() > 0), 3 * pixels // 4, rng)
    anywhere = _draw(np.flatnonzero(mask.ravel() >= 0), pixels - len(on_object), rng)
    # A pixel drawn twice would be trained twice, so duplicates are removed.
    chosen = np.unique(np.concatenate([on_object, anywhere, at_edge]))
    found = renderer.contributions(view.camera, chosen.astype(np.int64), strongest)
    shows = found.weights[:, 0] > 0
    chosen, ids, weights = found.pixels[shows], found.ids[shows], found.weights[shows]
    on_objects = np.count_nonzero(mask > 0) / max(np.count_nonzero(mask >= 0), 1)
    weights = weights / weights.sum(1, keepdims=True)
    return ViewSamples(ids, weights, mask.ravel()[chosen], edge.ravel()[chosen], on_objects)


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


def _draw(candidates: NDArray[np.int64], most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    if len(candidates) <= most:
        return candidates
    return rng.choice(candidates, most, replace=False)
