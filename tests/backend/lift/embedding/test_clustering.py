"""HDBSCAN on embeddings that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.lift.embedding.clustering import ClusterSettings, by_hdbscan
from tests.backend.lift.made_evidence import evidence_from_masks

TRUTH = np.repeat([0, 1, 2, 3], 100)
CENTRES = np.array([[9, 9], [0, 0], [4, 0], [0, 4]])


def points(spread: float = 0.1) -> np.ndarray:
    return (CENTRES[TRUTH] + np.random.default_rng(0).normal(0, spread, (400, 2))).astype(np.float32)


def same_parts(labels: np.ndarray, truth: np.ndarray) -> bool:
    """Whether two labellings differ in their numbers alone."""
    pairs = np.unique(np.stack([labels, truth]), axis=1)
    return pairs.shape[1] == len(np.unique(labels)) == len(np.unique(truth))


def test_clusters_are_the_objects_and_mask_0_the_background() -> None:
    evidence = evidence_from_masks(np.stack([TRUTH] * 3))
    labels = by_hdbscan(points(), evidence, ClusterSettings(smallest_cluster=20), seed=0)
    assert same_parts(labels, TRUTH)
    assert (labels[TRUTH == 0] == 0).all()


def test_what_was_not_drawn_and_noise_go_to_the_nearest_centroid() -> None:
    evidence = evidence_from_masks(np.stack([TRUTH] * 3))
    stray = points()
    stray[150] = [1.2, 0.9]
    labels = by_hdbscan(stray, evidence, ClusterSettings(smallest_cluster=10, sample=120), seed=0)
    assert same_parts(labels, TRUTH)


def test_background_is_what_mask_0_holds_most_of() -> None:
    masks = np.stack([np.where(TRUTH == 1, shown, TRUTH) for shown in (0, 0, 1)])
    labels = by_hdbscan(points(), evidence_from_masks(masks), ClusterSettings(smallest_cluster=20), seed=0)
    assert same_parts(labels, np.where(TRUTH == 1, 0, TRUTH))
    generous = ClusterSettings(smallest_cluster=20, background=0.7)
    assert same_parts(by_hdbscan(points(), evidence_from_masks(masks), generous, seed=0), TRUTH)


def test_without_clusters_all_is_one_object() -> None:
    evidence = evidence_from_masks(np.stack([np.minimum(TRUTH, 1)] * 2))
    labels = by_hdbscan(np.ones((400, 2), np.float32), evidence, ClusterSettings(smallest_cluster=300), seed=0)
    np.testing.assert_array_equal(labels, np.minimum(TRUTH, 1))
    few = by_hdbscan(points(), evidence, ClusterSettings(smallest_cluster=500), seed=0)
    np.testing.assert_array_equal(few, np.minimum(TRUTH, 1))


def test_a_hundred_objects_of_very_different_size_are_found() -> None:
    size = np.where(np.arange(100) % 2, 20, 150)
    truth = np.repeat(np.arange(1, 101), size)
    rng = np.random.default_rng(1)
    grid = np.indices((10, 10)).reshape(2, 100).T
    scattered = (grid[truth - 1] + rng.normal(0, 0.03, (len(truth), 2))).astype(np.float32)
    labels = by_hdbscan(scattered, evidence_from_masks(truth[None]), ClusterSettings(), seed=0)
    assert same_parts(labels, truth)


def test_gaussians_are_drawn_by_how_much_the_views_see_of_them() -> None:
    # Group 0 of TRUTH is a cluster here, not background, with Gaussians that are hardly visible.
    even = evidence_from_masks(np.ones((1, 400), int))
    settings = ClusterSettings(sample=250, smallest_cluster=20)
    assert same_parts(by_hdbscan(points(), even, settings, seed=0), TRUTH)
    faint = replace(even, total=np.where(TRUTH[even.gaussian] == 0, 0.1, 1000).astype(np.float32))
    labels = by_hdbscan(points(), faint, settings, seed=0)
    assert same_parts(labels[100:], TRUTH[100:])
    assert labels.max() == 3


def test_pixels_can_be_clustered_in_place_of_gaussians() -> None:
    evidence = evidence_from_masks(np.stack([TRUTH] * 3))
    blurred = points(spread=1.0)
    pixels = np.random.default_rng(1).permutation(points()[100:])
    labels = by_hdbscan(blurred, evidence, ClusterSettings(smallest_cluster=20), seed=0, pixels=pixels)
    distance = np.linalg.norm(blurred[:, None] - CENTRES[None, 1:], axis=2)
    # The centroids are means of some pixels and so not quite the centres.
    plain = (np.arange(400) >= 100) & (np.diff(np.sort(distance, axis=1)[:, :2])[:, 0] > 0.1)
    assert plain.sum() > 250
    assert same_parts(labels[plain], distance.argmin(1)[plain])
    assert not labels[:100].any()
    assert not same_parts(by_hdbscan(blurred, evidence, ClusterSettings(smallest_cluster=20), seed=0), labels)


def test_nothing_but_background() -> None:
    evidence = evidence_from_masks(np.zeros((2, 400), int))
    assert not by_hdbscan(points(), evidence, ClusterSettings(), seed=0).any()
