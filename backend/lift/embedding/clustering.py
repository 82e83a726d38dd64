"""Clusters embeddings by HDBSCAN, for methods that train no codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from scipy.spatial import KDTree

from backend.lift.evidence.background import background_share
from backend.lift.evidence.votes import Evidence

SAMPLE = 10_000
PER_MASK = 100
"""Least number of sampled points: in all, and per mask of a view."""
FEWEST = 5
"""Least number of points of a cluster, however many objects there are."""


@dataclass(frozen=True)
class ClusterSettings:
    """Settings of every method that clusters its embedding.

    Attributes:
        background: Gaussians with at least this share of their weight on mask 0 are background. Contrastive-Lift
            clusters the pixels that a semantic branch classifies as objects; here the majority of the masks replaces
            that branch.
        sample: points that HDBSCAN clusters, drawn at random; all Gaussians then go to the nearest centroid. 0 means
            automatic: the larger of :data:`SAMPLE` and :data:`PER_MASK` per mask of a view. Contrastive-Lift draws
            50,000; the time of HDBSCAN grows faster than the sample, and in a generated scene of 25 objects 20,000 were
            not better.
        smallest_cluster: least number of sampled points of a cluster. 0 means automatic: a tenth of the points per
            object if the sample were shared evenly by as many objects as a view has masks. A fixed share, such as
            Contrastive-Lift's hundredth of the sample, cannot find more than a hundred objects.
        core_neighbours: HDBSCAN's ``min_samples``, the number of neighbours for the density.
    """

    background: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            title="Background Share",
            description="A Gaussian is background if at least this share of its weight in the masks is background. "
            "Lower values remove more.",
        ),
    ] = 0.5
    sample: Annotated[
        int,
        Meta(
            ge=0,
            title="Sample",
            description="How many Gaussians are clustered; the others join the nearest cluster. "
            "0 chooses the number for each scene.",
        ),
    ] = 0
    smallest_cluster: Annotated[
        int,
        Meta(
            ge=0,
            title="Smallest Cluster",
            description="Smallest number of sampled Gaussians in an object. 0 chooses the number for each scene.",
        ),
    ] = 0
    core_neighbours: Annotated[
        int,
        Meta(
            ge=1,
            title="Core Neighbours",
            description="How many neighbours decide whether a place is dense. "
            "Higher values treat more Gaussians as noise.",
        ),
    ] = 10


def by_hdbscan(
    points: NDArray[np.float32],
    evidence: Evidence,
    settings: ClusterSettings,
    seed: int,
    pixels: NDArray[np.float32] | None = None,
) -> NDArray[np.int32]:
    """Return (N,) int32 labels from 1 of Gaussians with embeddings ``points`` (N, d); 0 is background.

    Noise, and Gaussians outside the sample, get the cluster with the nearest centroid. If HDBSCAN finds no cluster, as
    with a single object, all foreground is one object.

    Args:
        points: float32.
        evidence: of the same Gaussians; determines the background and the weight of each Gaussian in the views.
        settings: of the clustering.
        seed: random seed.
        pixels: (P, d) float32, rendered embeddings to cluster. Without them foreground Gaussians are clustered, drawn
            with probabilities proportional to their weight in the views: Gaussians with little weight are hardly
            trained and would connect clusters.
    """
    rows = np.flatnonzero(evidence.seen & (background_share(evidence) < settings.background))
    labels = np.zeros(len(points), np.int32)
    if len(rows) == 0:
        return labels
    per_view = evidence.masks / max(evidence.views, 1)
    sample = settings.sample or max(SAMPLE, round(PER_MASK * per_view))
    rng = np.random.default_rng(seed)
    if pixels is None:
        # Weighted sampling without replacement: the first arrivals of Poisson processes with these rates.
        arrival = rng.exponential(size=len(rows)) / evidence.weight[rows]
        drawn = points[rows[np.argsort(arrival)[:sample]]]
    else:
        drawn = pixels[rng.permutation(len(pixels))[:sample]]
    smallest = settings.smallest_cluster or max(FEWEST, round(0.1 * len(drawn) / max(per_view, 1)))
    centroids = cluster_centroids(drawn, max(smallest, 2), settings.core_neighbours)
    labels[rows] = 1 if len(centroids) == 0 else np.asarray(KDTree(centroids).query(points[rows])[1]) + 1
    return labels


def cluster_centroids(points: NDArray[np.float32], smallest: int, core_neighbours: int) -> NDArray[np.float32]:
    """Return the (C, d) centroids of HDBSCAN's clusters of ``points`` (P, d); C may be 0.

    Args:
        points: float32.
        smallest: least number of points of a cluster.
        core_neighbours: number of neighbours for the density.
    """
    # Imported here because scikit-learn takes a second to load, and listing the methods does not need it.
    from sklearn.cluster import HDBSCAN

    if len(points) <= max(smallest, core_neighbours):
        return points[:0]
    found = HDBSCAN(
        min_cluster_size=smallest,
        min_samples=core_neighbours,
        algorithm="kd_tree",
        copy=True,  # pyright: ignore[reportArgumentType]
    ).fit_predict(points.astype(np.float64))
    clusters = [points[found == label].mean(0) for label in range(int(found.max(initial=-1)) + 1)]
    return np.stack(clusters) if clusters else points[:0]
