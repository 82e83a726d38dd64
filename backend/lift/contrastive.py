"""`contrastive`: Contrastive Gaussian Clustering (Silva et al. 2024) on frozen Gaussians, with labels by HDBSCAN."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from backend.lift.clusters import ClusterSettings, by_hdbscan
from backend.lift.job import Job, Labelling
from backend.lift.samples import ViewSamples, sample_view
from backend.lift.views import MaskedView, masked_views

Weight = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]
Sampled = tuple[ViewSamples, float]
"""Pixels of a view, and the share of all its pixels that lies on masks."""


@dataclass(frozen=True)
class ContrastiveSettings(ClusterSettings):
    """Settings of `contrastive`: first what the paper gives, then what frozen geometry asks for, with the reason.

    Attributes:
        dimensions: the paper's 16.
        smallest_mask: masks with more pixels than this are contrasted, the paper's 100; the others, and id 0, are left
            out of the loss.
        lambda_clustering: weight of eq. (3), the paper's 1e-6 for sums over photographs of about a million pixels.
        nearest, farthest: K and L of eq. (4), the paper's 2 and 5. The nearest do not count the Gaussian itself.
        lambda_near, lambda_far: weights of eq. (4), the paper's 0.05 and 0.15.
        iterations, cluster_every, spatial_every: the paper's 30,000, 50 and 100. Iterations in which neither loss is
            due only move geometry and colour in the paper, and cost nothing here: 900 steps are taken.
        anchors: M of eq. (4), not in the paper; the authors' training draws 1,000.

        photograph: the number of pixels that eq. (3) is summed over, whatever the size of the masks; with masks of
            another size lambda_clustering would otherwise weigh eq. (3) differently against eq. (4).
        learning_rate: the published 0.0025 belongs to an Adam that runs on through the 49 iterations without a
            gradient: one gradient in 50 makes its second moment 50 times smaller, and so its moves sqrt(50) = 7
            times longer than those of the Adam here, which pauses with its rows.
        far_pool: Gaussians among which the farthest are searched, drawn anew in every step: all pairs cost M N.
        view_pixels: pixels kept of each view, each standing for several; the paper renders all.
        strongest: Gaussians kept per pixel; 8 hold 85 to 88 percent of the weight.
    """

    dimensions: Annotated[int, Meta(ge=1, le=64)] = 16
    smallest_mask: Annotated[int, Meta(ge=0)] = 100
    lambda_clustering: Weight = 1e-6
    nearest: Count = 2
    farthest: Count = 5
    lambda_near: Weight = 0.05
    lambda_far: Weight = 0.15
    iterations: Count = 30_000
    cluster_every: Count = 50
    spatial_every: Count = 100
    anchors: Count = 1000

    photograph: Count = 1_000_000
    learning_rate: Annotated[float, Meta(gt=0)] = 0.0175
    far_pool: Count = 4096
    view_pixels: Count = 4096
    strongest: Annotated[int, Meta(ge=1, le=64)] = 8


def run(job: Job, settings: ContrastiveSettings) -> Labelling:
    """Train the features and cluster them."""
    views = sampled_views(job, settings)
    features = trained_features(job, settings, views)
    job.progress("lift", 0.9, "clustering")
    # As eq. (3) saw them: pixels of masks, and directions alone. A Gaussian's own feature is only ever part of those.
    pixels = np.concatenate([rendered_directions(view, features) for view, _ in views]) if views else None
    return Labelling(by_hdbscan(_unit(features), job.evidence, settings, job.seed, pixels), features)


def sampled_views(job: Job, settings: ContrastiveSettings) -> list[Sampled]:
    """Return pixels of the views that show two large masks or more, to contrast."""
    rng = np.random.default_rng(job.seed)
    views = []
    for number, view in enumerate(large_masks(masked_views(job.views), settings.smallest_mask)):
        job.progress("lift", 0.4 * number / max(job.evidence.views, 1), f"sampling {view.name}")
        found = sample_view(
            job.renderer,
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


def trained_features(job: Job, settings: ContrastiveSettings, views: Sequence[Sampled]) -> NDArray[np.float32]:
    """Return the (N, d) float32 features; all alike where no view shows two masks to contrast."""
    # Imported here because torch takes seconds to load, and the table of methods does not need it.
    from backend.lift.contrastive_training import Pixels, train_features

    means = job.splats.means
    if not views or len(means) < 2:
        return np.full((len(means), settings.dimensions), settings.dimensions**-0.5, np.float32)
    pixels = [Pixels(view, round(settings.photograph * on_masks), job.device) for view, on_masks in views]
    return train_features(pixels, means, settings, job.device, job.seed, job.progress, job.watch)


def rendered_directions(view: ViewSamples, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (P, d) float32, the unit rendered features of the pixels of ``view`` that lie on masks."""
    on_masks = view.segment > 0
    return _unit(np.einsum("pk,pkd->pd", view.weights[on_masks], features[view.ids[on_masks]]))


def _unit(features: NDArray[np.float32]) -> NDArray[np.float32]:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def large_masks(views: Iterator[MaskedView], smallest: int) -> Iterator[MaskedView]:
    """Yield the views with their masks of ``smallest`` pixels or fewer taken away."""
    for view in views:
        named = np.maximum(view.mask, 0)
        large = np.bincount(named.ravel()) > smallest
        yield replace(view, mask=np.where(large[named], view.mask, 0).astype(np.int32))
