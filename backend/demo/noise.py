"""Degrades exact id maps like a 2D segmenter, with named noise profiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates


@dataclass(frozen=True)
class Noise:
    """Errors of a 2D segmenter.

    Attributes:
        drop: probability that an object is missed in a view.
        merge: probability that a touching pair becomes one mask in a view.
        split: probability that an object is split into two masks along a line.
        wobble: standard deviation of the displacement of outlines, in pixels.
        blobs: expected number of false masks per view.
    """

    drop: float = 0.0
    merge: float = 0.0
    split: float = 0.0
    wobble: float = 0.0
    blobs: float = 0.0


PROFILES = {
    "clean": Noise(),
    "mild": Noise(drop=0.05, merge=0.02, split=0.03, wobble=1.0, blobs=0.2),
    "detector": Noise(drop=0.13, merge=0.045, split=0.09, wobble=2.0, blobs=1.0),
    "harsh": Noise(drop=0.3, merge=0.1, split=0.2, wobble=3.0, blobs=3.0),
}


def spoil(exact: NDArray[np.int32], noise: Noise, rng: np.random.Generator, void: int = 0) -> NDArray[np.int32]:
    """Return an exact (H, W) id map with the errors of a segmenter, and with new random ids.

    Args:
        exact: ids from 0, which is background.
        noise: the error profile.
        rng: random generator.
        void: value of missed objects: 0, as in a segmenter that only detects objects, or
            :data:`~backend.scene.types.VOID`, as in one that also labels floor and walls.
    """
    mask = exact.astype(np.int32)
    top = int(mask.max()) + 1
    for a, b in _touching(mask):
        if rng.random() < noise.merge:
            mask[mask == b] = a
    for i in _ids(mask):
        draw = rng.random()
        inside = mask == i
        if draw < noise.drop:
            mask[inside] = void
        elif draw < noise.drop + noise.split:
            y, x = np.nonzero(inside)
            angle = rng.uniform(0, np.pi)
            beyond = (x - x.mean()) * np.cos(angle) + (y - y.mean()) * np.sin(angle) > 0
            mask[y[beyond], x[beyond]] = top
            top += 1
    if noise.wobble > 0:
        mask = _wobble(mask, noise.wobble, rng)
    for _ in range(rng.poisson(noise.blobs)):
        _blob(mask, top, rng)
        top += 1
    return _fresh_ids(mask, rng)


def _ids(mask: NDArray[np.int32]) -> Sequence[int]:
    ids = np.unique(mask)
    return ids[ids > 0].tolist()


def _touching(mask: NDArray[np.int32]) -> list[tuple[int, int]]:
    """Return pairs of ids that are adjacent along at least 5 pixels."""
    pairs = np.concatenate(
        [
            np.stack([mask[:, 1:].ravel(), mask[:, :-1].ravel()], 1),
            np.stack([mask[1:].ravel(), mask[:-1].ravel()], 1),
        ]
    )
    pairs = np.sort(pairs[(pairs > 0).all(1) & (pairs[:, 0] != pairs[:, 1])], 1)
    found, count = np.unique(pairs, axis=0, return_counts=True)
    return [(int(a), int(b)) for a, b in found[count >= 5]]


def _wobble(mask: NDArray[np.int32], pixels: float, rng: np.random.Generator) -> NDArray[np.int32]:
    """Displace the map by a smooth random field of the given standard deviation."""
    field = [gaussian_filter(rng.normal(size=mask.shape), 5.0) for _ in range(2)]
    grid = np.indices(mask.shape)
    moved = [g + pixels * f / f.std() for g, f in zip(grid, field, strict=True)]
    return np.asarray(map_coordinates(mask, moved, order=0, mode="nearest")).astype(np.int32)


def _blob(mask: NDArray[np.int32], label: int, rng: np.random.Generator) -> None:
    """Draw an ellipse with a new id on the background."""
    height, width = mask.shape
    y, x = np.indices(mask.shape)
    radius = rng.uniform(0.02, 0.06, 2) * width
    inside = ((y - rng.uniform(0, height)) / radius[0]) ** 2 + ((x - rng.uniform(0, width)) / radius[1]) ** 2 < 1
    mask[inside & (mask == 0)] = label


def _fresh_ids(mask: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
    ids = _ids(mask)
    table = np.zeros(int(mask.max()) + 1, np.int32)
    table[ids] = rng.permutation(len(ids)) + 1
    return np.where(mask < 0, mask, table[mask])
