"""Training photographs: decoded once on threads, reduced to the training size, stored as bytes with a half-size copy.

They are stored on the training device, in host memory, or on disk: see
:func:`backend.reconstruct.memory_estimate.place_photographs`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from backend.progress import Progress, silent
from backend.reconstruct.photo_cache import PhotoCache
from backend.scene.images import Pixels, read_with_alpha
from backend.scene.mask_sets import object_pixels
from backend.scene.types import Camera, Transparent, View

SMALLEST_HALF = 64
"""Least shortest side of half-size photographs; smaller ones are not used."""

READERS = min(4, os.cpu_count() or 1)
"""Decoding threads; the decoders are in C and release the GIL."""

AHEAD = 2 * READERS
"""Photographs that are decoded, or read from disk, in advance."""

PIXELS = ("image", "on_object", "alpha")
"""The fields of a photograph with a value for each pixel."""


class _Decoded(NamedTuple):
    """The pixels of a photograph, of its half-size copy (None if it is small), and of its mask."""

    full: Pixels
    half: Pixels | None
    mask: NDArray[np.bool_] | None


@dataclass(frozen=True)
class Photograph:
    """A photograph with its camera.

    Attributes:
        camera: for an image of this size.
        image: (H, W, 3) uint8, on the training device, in host memory or mapped from disk; transparency is
            composited on black.
        on_object: (H, W) bool, where the view's mask shows an object, or None without a mask.
        alpha: (H, W) uint8, 255 where the photograph is opaque; None if it is opaque everywhere.
        transparent: what the other pixels mean.
    """

    camera: Camera
    image: torch.Tensor
    on_object: torch.Tensor | None = None
    alpha: torch.Tensor | None = None
    transparent: Transparent = "empty"

    def on(self, device: torch.device | str) -> Photograph:
        """Return the photograph with its pixels on ``device``; itself if they are there already."""
        image = self.image.to(device, non_blocking=True)
        if image is self.image:
            return self
        on_object = None if self.on_object is None else self.on_object.to(device, non_blocking=True)
        alpha = None if self.alpha is None else self.alpha.to(device, non_blocking=True)
        return replace(self, image=image, on_object=on_object, alpha=alpha)


@dataclass(frozen=True)
class Photographs:
    """All training photographs, ``full`` at training size and ``half`` at half of it, in the order of the views.

    Attributes:
        photo_cache: the cache if they are on disk; photograph i of ``full`` and of ``half`` has the rows ``rows[i]``.
    """

    full: tuple[Photograph, ...]
    half: tuple[Photograph, ...]
    photo_cache: PhotoCache | None = None
    rows: tuple[tuple[int, int], ...] = ()

    def take(self, number: int, small: bool, soon: Sequence[int] = ()) -> Photograph:
        """Return a photograph of ``half`` or ``full``; those needed ``soon`` are prefetched if they are on disk."""
        if self.photo_cache is not None:
            self.photo_cache.expect(self.rows[other][small] for other in soon)
        return (self.half if small else self.full)[number]

    @property
    def pixels(self) -> int:
        return sum(photo.camera.width * photo.camera.height for photo in self.full)


def load_photographs(
    views: Sequence[View], *, long_side: int, device: str, folder: Path | None = None, progress: Progress = silent
) -> Photographs:
    """Read images and masks of ``views``, reduced to at most ``long_side`` pixels, and store them on ``device``.

    Args:
        folder: if given, they are stored in a file in this folder instead.

    Raises:
        Fault: from the readers of the scene, and from :class:`~backend.reconstruct.photo_cache.PhotoCache`.
    """
    with closing(_pairs(views, long_side, progress)) as pairs:
        if folder is not None:
            return _on_disk(pairs, PhotoCache(folder))
        fulls, halves = [], []
        for full, half in pairs:
            fulls.append(full.on(device))
            halves.append(fulls[-1] if half is full else half.on(device))
    return Photographs(tuple(fulls), tuple(halves))


def _pairs(
    views: Sequence[View], long_side: int, progress: Progress
) -> Generator[tuple[Photograph, Photograph], None, None]:
    """Yield each view's photograph and its half-size copy, in host memory; the same object twice if it is small."""
    for number, (view, found) in enumerate(zip(views, _decoded(views, long_side), strict=True)):
        progress("reconstruct", 0.0, f"photograph {number + 1} of {len(views)}")
        full = _photograph(view, found.full, found.mask)
        yield full, full if found.half is None else _photograph(view, found.half, found.mask)


def _on_disk(pairs: Iterable[tuple[Photograph, Photograph]], photo_cache: PhotoCache) -> Photographs:
    """Write photographs to ``photo_cache`` as they arrive, and return them mapped from it."""
    rows: list[tuple[int, int]] = []
    stored: list[tuple[Camera, Transparent, list[str]]] = []
    for full, half in pairs:
        for photo in (full,) if half is full else (full, half):
            present = [name for name in PIXELS if getattr(photo, name) is not None]
            photo_cache.put([getattr(photo, name).numpy() for name in present])
            stored.append((photo.camera, photo.transparent, present))
        rows.append((len(stored) - (1 if half is full else 2), len(stored) - 1))
    there = []
    for row, (camera, transparent, present) in enumerate(stored):
        pixels = dict(zip(present, map(torch.from_numpy, photo_cache.row(row)), strict=True))
        there.append(Photograph(camera, transparent=transparent, **pixels))
    return Photographs(
        tuple(there[row] for row, _ in rows), tuple(there[row] for _, row in rows), photo_cache, tuple(rows)
    )


def _decoded(views: Sequence[View], long_side: int) -> Iterator[_Decoded]:
    """Yield images, half-size images and masks in the order of ``views``, decoding a few in advance."""
    pool = ThreadPoolExecutor(READERS, "photographs")
    waiting: deque[Future[_Decoded]] = deque()
    try:
        for view in views:
            waiting.append(pool.submit(_decode, view, long_side))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _decode(view: View, long_side: int) -> _Decoded:
    width, height = size = view.camera.size_within(long_side)
    pixels = read_with_alpha(view, size)
    if min(size) < 2 * SMALLEST_HALF:
        return _Decoded(pixels, None, object_pixels(view))
    half = (width // 2, height // 2)
    image, alpha = (None if part is None else _reduced(part, half) for part in pixels)
    assert image is not None
    return _Decoded(pixels, Pixels(image, alpha), object_pixels(view))


def _reduced(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _photograph(view: View, pixels: Pixels, mask: NDArray[np.bool_] | None) -> Photograph:
    height, width = pixels.image.shape[:2]
    on_object = None
    if mask is not None:
        rows = (np.arange(height) + 0.5) * mask.shape[0] / height
        cols = (np.arange(width) + 0.5) * mask.shape[1] / width
        nearest = mask[np.ix_(rows.astype(int), cols.astype(int))]
        on_object = torch.from_numpy(np.ascontiguousarray(nearest))
    return Photograph(
        view.camera.resized(width, height),
        torch.from_numpy(np.array(pixels.image, np.uint8)),
        on_object,
        None if pixels.alpha is None else torch.from_numpy(np.array(pixels.alpha, np.uint8)),
        view.transparent or "empty",
    )
