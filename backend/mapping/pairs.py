"""Chooses the pairs of photographs to match."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.cluster import MiniBatchKMeans

EXHAUSTIVE = 100
"""Up to this many photographs, all pairs are matched."""
ALIKE = 30
"""With more photographs, each is matched with this many of the most similar ones."""
OVERLAP = 8
"""A video frame is matched with this many following frames, then with those 16, 32 and so on later."""
LOOPS = 6
"""A video frame is also matched with this many of the most similar frames, because the camera may return."""
WORDS = 64


def choose_pairs(descriptors: Sequence[NDArray[np.uint8]], *, video: bool, seed: int) -> list[tuple[int, int]]:
    """Return pairs of photographs, the lower number first, sorted.

    Args:
        descriptors: (F, 128) SIFT descriptors of each photograph.
        video: whether they are consecutive frames.
        seed: of the visual words.
    """
    count = len(descriptors)
    if count <= (OVERLAP if video else EXHAUSTIVE):
        return list(combinations(range(count), 2))
    if not video:
        return sorted(_most_alike(descriptors, ALIKE, 0, seed) | {(i, i + 1) for i in range(count - 1)})
    steps = [*range(1, OVERLAP + 1), *(2**power for power in range(4, 12) if 2**power < count)]
    following = {(i, i + step) for step in steps for i in range(count - step)}
    return sorted(following | _most_alike(descriptors, LOOPS, OVERLAP, seed))


def _most_alike(
    descriptors: Sequence[NDArray[np.uint8]], neighbours: int, apart: int, seed: int
) -> set[tuple[int, int]]:
    """Return pairs with the highest cosine of VLAD vectors (Jegou et al. 2010), more than ``apart`` apart in order."""
    # Imported here because scikit-learn takes a second to load, and few captures need it.
    from sklearn.cluster import MiniBatchKMeans

    rng = np.random.default_rng(seed)
    some = [each[rng.permutation(len(each))[:300]] for each in descriptors]
    sample = np.concatenate(some).astype(np.float32)
    if len(sample) < WORDS:
        return set(combinations(range(len(descriptors)), 2))
    words = MiniBatchKMeans(WORDS, random_state=seed, n_init="auto", batch_size=4096).fit(sample)
    vectors = np.stack([_vlad(each.astype(np.float32), words) for each in descriptors])
    alike = vectors @ vectors.T
    rows = np.arange(len(alike))
    alike[np.abs(rows[:, None] - rows) <= apart] = -np.inf
    best = np.argsort(-alike, axis=1, kind="stable")[:, :neighbours]
    return {
        (min(i, int(j)), max(i, int(j))) for i, others in enumerate(best) for j in others if np.isfinite(alike[i, j])
    }


def _vlad(descriptors: NDArray[np.float32], words: MiniBatchKMeans) -> NDArray[np.float64]:
    sums = np.zeros((WORDS, 128))
    if len(descriptors):
        nearest = np.asarray(words.predict(descriptors))
        np.add.at(sums, nearest, descriptors - np.asarray(words.cluster_centers_)[nearest])
    sums /= np.linalg.norm(sums, axis=1, keepdims=True).clip(1e-9)
    return (sums / np.linalg.norm(sums).clip(1e-9)).ravel()
