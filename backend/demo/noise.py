"""Spoils exact id maps the way a 2D segmenter does, under profiles with names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

Ids = NDArray[np.integer]


@dataclass(frozen=True)
class Noise:
    """How masks go wrong; each share is a chance per object and view.

    Attributes:
        drop: the object has no mask.
        split: its mask falls into two.
        merge: it takes the mask of an object it touches.
        blobs: false masks per view, mean.
        wobble: outlines are displaced by about this many pixels.
    """

    drop: float
    split: float
    merge: float
    blobs: float
    wobble: float


PROFILES = {
    "clean": Noise(0.0, 0.0, 0.0, 0.0, 0.0),
    "mild": Noise(0.05, 0.03, 0.02, 0.2, 1.0),
    "detector": Noise(0.12, 0.08, 0.04, 0.5, 2.0),
    "harsh": Noise(0.25, 0.15, 0.10, 1.5, 3.0),
}


def spoil(exact: Ids, noise: Noise, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Return an (H, W) mask of the same view with fresh ids: 0 for nothing, 1..M in an order that means nothing."""
    mask = _wobbled(exact.astype(np.int64), noise.wobble, rng)
    for label in _labels(mask):
        chance = rng.random(3)
        here = mask == label
        if chance[0] < noise.drop:
            mask[here] = 0
        elif chance[1] < noise.split:
            mask[here & _half_plane(here, rng)] = mask.max() + 1
        elif chance[2] < noise.merge:
            touching = _touching(mask, here)
            if touching.size:
                mask[here] = rng.choice(touching)
    for _ in range(rng.poisson(noise.blobs)):
        mask[_blob(mask.shape, rng)] = mask.max() + 1
    return _fresh(mask, rng)


def _labels(mask: Ids) -> NDArray[np.integer]:
    labels = np.unique(mask)
    return labels[labels > 0]


def _wobbled(ids: Ids, amount: float, rng: np.random.Generator) -> Ids:
    if amount == 0:
        return ids.copy()
    # A field smoothed over 6 pixels moves an outline in bends, as a segmenter does, and not in specks.
    rows, columns = np.meshgrid(*(np.arange(n, dtype=float) for n in ids.shape), indexing="ij")
    for axis in (rows, columns):
        field = np.asarray(gaussian_filter(rng.standard_normal(ids.shape), 6))
        axis += amount * field / field.std()
    return map_coordinates(ids, [rows, columns], order=0, mode="nearest").astype(ids.dtype)


def _half_plane(here: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    y, x = np.nonzero(here)
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.indices(here.shape)
    return (rows - y.mean()) * np.sin(angle) + (columns - x.mean()) * np.cos(angle) > 0


def _touching(mask: Ids, here: NDArray[np.bool_]) -> NDArray[np.integer]:
    near = np.zeros_like(here)
    near[1:] |= here[:-1]
    near[:-1] |= here[1:]
    near[:, 1:] |= here[:, :-1]
    near[:, :-1] |= here[:, 1:]
    return _labels(mask[near & ~here])


def _blob(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.bool_]:
    rows, columns = np.indices(shape)
    centre = rng.uniform(0, shape)
    radii = rng.uniform(0.02, 0.05, 2) * max(shape)
    return ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2 < 1


def _fresh(mask: Ids, rng: np.random.Generator) -> NDArray[np.uint16]:
    labels = _labels(mask)
    table = np.zeros(int(mask.max(initial=0)) + 1, np.uint16)
    table[labels] = rng.permutation(len(labels)) + 1
    return table[mask]
