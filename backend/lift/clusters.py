"""Embeddings to labels by HDBSCAN: how methods that train no codes find their objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from scipy.spatial import KDTree

from backend.lift.background import background_share
from backend.lift.votes import Evidence


@dataclass(frozen=True)
class ClusterSettings:
    """Settings of every method that clusters its embedding.

    Attributes:
        background: Gaussians with this share of their weight on mask 0, or more, are background. Contrastive-Lift
            clusters inside the pixels that a semantic branch calls objects; a plain majority of the masks stands in
            for that branch here.
        sample: Gaussians that HDBSCAN clusters, drawn at random from those that are not background; the others go to
            the nearest centroid. Contrastive-Lift draws 50,000; HDBSCAN's time grows faster than the sample, and on a
            made scene of 25 objects 20,000 did no better.
        smallest_cluster: Gaussians of the sample that make a cluster, at least. Contrastive-Lift asks for a hundredth
            of the sample; half of that here, as small objects own few Gaussians. An object with a smaller share than
            this of all objects' Gaussians cannot be found: for some hundred objects and more, lower it or draw more.
        core_neighbours: HDBSCAN's ``min_samples``, the neighbours that density is measured by.
    """

    background: Annotated[float, Meta(ge=0, le=1)] = 0.5
    sample: Annotated[int, Meta(ge=2)] = 10_000
    smallest_cluster: Annotated[int, Meta(ge=2)] = 50
    core_neighbours: Annotated[int, Meta(ge=1)] = 10


def by_hdbscan(
    points: NDArray[np.float32], evidence: Evidence, settings: ClusterSettings, seed: int
) -> NDArray[np.int32]:
    """Return (N,) int32 labels from 1 of Gaussians with embeddings ``points`` (N, d); 0 is background.

    Noise, and Gaussians outside the sample, take the cluster with the nearest centroid. Where HDBSCAN finds no cluster,
    as with a single object, all that is not background is one.
    """
    rows = np.flatnonzero(evidence.seen & (background_share(evidence) < settings.background))
    labels = np.zeros(len(points), np.int32)
    if len(rows) == 0:
        return labels
    drawn = np.random.default_rng(seed).permutation(rows)[: settings.sample]
    centroids = cluster_centroids(points[drawn], settings)
    labels[rows] = 1 if len(centroids) == 0 else np.asarray(KDTree(centroids).query(points[rows])[1]) + 1
    return labels


def cluster_centroids(points: NDArray[np.float32], settings: ClusterSettings) -> NDArray[np.float32]:
    """Return the (C, d) centroids of the clusters that HDBSCAN finds in ``points`` (P, d); C may be 0."""
    # Imported here because scikit-learn takes a second to load, and the table of methods does not need it.
    from sklearn.cluster import HDBSCAN

    if len(points) <= max(settings.smallest_cluster, settings.core_neighbours):
        return points[:0]
    found = HDBSCAN(
        min_cluster_size=settings.smallest_cluster,
        min_samples=settings.core_neighbours,
        algorithm="kd_tree",
        copy=True,  # pyright: ignore[reportArgumentType]
    ).fit_predict(points.astype(np.float64))
    clusters = [points[found == label].mean(0) for label in range(int(found.max(initial=-1)) + 1)]
    return np.stack(clusters) if clusters else points[:0]
