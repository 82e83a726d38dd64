"""`contrastive`: trains features on pixels of the views, then clusters them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.lift.contrastive.settings import ContrastiveSettings
from backend.lift.embedding.clustering import by_hdbscan
from backend.lift.embedding.samples import ViewSamples, sample_view
from backend.lift.evidence.views import MaskedView, masked_views
from backend.lift.task import Labelling, LiftTask

Sampled = tuple[ViewSamples, float]
"""Pixels of a view, and the share of all its pixels that lie on masks."""


def run(task: LiftTask, settings: ContrastiveSettings) -> Labelling:
    """Train the features and cluster them."""
    views = sampled_views(task, settings)
    features = trained_features(task, settings, views)
    task.progress("lift", 0.9, "clustering")
    # Cluster what eq. (3) was trained on: unit features rendered at pixels of masks, not the features of single
    # Gaussians.
    pixels = np.concatenate([rendered_directions(view, features) for view, _ in views]) if views else None
    return Labelling(by_hdbscan(_unit(features), task.evidence, settings, task.seed, pixels), features)


def sampled_views(task: LiftTask, settings: ContrastiveSettings) -> list[Sampled]:
    """Return pixels of the views that show at least two large masks, which can be contrasted."""
    rng = np.random.default_rng(task.seed)
    views = []
    for number, view in enumerate(large_masks(masked_views(task.views), settings.smallest_mask)):
        task.progress("lift", 0.4 * number / max(task.evidence.views, 1), f"sampling {view.name}")
        found = sample_view(
            task.renderer,
            view,
            pixels=settings.view_pixels,
            boundary_pixels=0,
            band=1,
            strongest=settings.strongest,
            rng=rng,
        )
        if len(np.unique(found.segment[found.segment > 0])) > 1:
            views.append((found, np.count_nonzero(view.mask > 0) / view.mask.size))
    return views


def trained_features(task: LiftTask, settings: ContrastiveSettings, views: Sequence[Sampled]) -> NDArray[np.float32]:
    """Return the (N, d) float32 features; constant if no view shows two masks."""
    # Imported here because torch takes seconds to load, and listing the methods does not need it.
    from backend.lift.contrastive.training import Pixels, train_features

    means = task.splats.means
    if not views or len(means) < 2:
        return np.full((len(means), settings.dimensions), settings.dimensions**-0.5, np.float32)
    pixels = [Pixels(view, round(settings.photograph * on_masks), task.device) for view, on_masks in views]
    return train_features(pixels, means, settings, task.device, task.seed, task.progress, task.watch)


def rendered_directions(view: ViewSamples, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (P, d) float32, the unit rendered features of the pixels of ``view`` that lie on masks."""
    on_masks = view.segment > 0
    return _unit(np.einsum("pk,pkd->pd", view.weights[on_masks], features[view.ids[on_masks]]))


def _unit(features: NDArray[np.float32]) -> NDArray[np.float32]:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def large_masks(views: Iterator[MaskedView], smallest: int) -> Iterator[MaskedView]:
    """Yield the views without masks of ``smallest`` pixels or fewer."""
    for view in views:
        named = np.maximum(view.mask, 0)
        large = np.bincount(named.ravel()) > smallest
        yield replace(view, mask=np.where(large[named], view.mask, 0).astype(np.int32))
