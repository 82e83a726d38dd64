"""Training photographs: decoded once, on threads, reduced to the working size, kept as bytes, with a half-size copy.

They are kept on the training device, in host memory, or on disk:
see :func:`backend.reconstruct.memory_estimate.place_photographs`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from backend.progress import Progress, silent
from backend.reconstruct.photo_cache import PhotoCache
from backend.scene import read_image
from backend.scene.mask_sets import object_pixels
from backend.scene.types import Camera, View

SMALLEST_HALF = 64
"""A half-size photograph with a shorter side than this shows too little to be worth a phase of its own."""

READERS = min(4, os.cpu_count() or 1)
"""Threads that decode; the decoders are C and let others run."""

AHEAD = 2 * READERS
"""Photographs that are decoded, or read from disk, before they are asked for."""

Decoded = tuple[NDArray[np.uint8], NDArray[np.uint8] | None, NDArray[np.bool_] | None]


@dataclass(frozen=True)
class Photograph:
    """What a camera saw.

    Attributes:
        camera: for an image of this size.
        image: (H, W, 3) uint8, on the training device, in host memory or mapped from disk; photographs with an alpha
            channel lie over black.
        on_object: (H, W) bool, where the view's mask shows an object, or None where the view has no mask.
    """

    camera: Camera
    image: torch.Tensor
    on_object: torch.Tensor | None

    def on(self, device: torch.device | str) -> Photograph:
        """Return the photograph with its pixels on ``device``: itself where they are there."""
        image = self.image.to(device, non_blocking=True)
        if image is self.image:
            return self
        on_object = None if self.on_object is None else self.on_object.to(device, non_blocking=True)
        return replace(self, image=image, on_object=on_object)


@dataclass(frozen=True)
class Photographs:
    """All training photographs, ``full`` at working size and ``half`` at half of it, in the order of the views.

    Attributes:
        photo_cache: where they lie if on disk, photograph number i of ``full`` and of ``half`` in the rows ``rows[i]``.
    """

    full: tuple[Photograph, ...]
    half: tuple[Photograph, ...]
    photo_cache: PhotoCache | None = None
    rows: tuple[tuple[int, int], ...] = ()

    def take(self, number: int, small: bool, soon: Sequence[int] = ()) -> Photograph:
        """Return a photograph of ``half`` or ``full``; those that are wanted ``soon`` are read if they are on disk."""
        if self.photo_cache is not None:
            self.photo_cache.expect(self.rows[other][small] for other in soon)
        return (self.half if small else self.full)[number]

    @property
    def pixels(self) -> int:
        return sum(photo.camera.width * photo.camera.height for photo in self.full)


def load_photographs(
    views: Sequence[View], *, long_side: int, device: str, folder: Path | None = None, progress: Progress = silent
) -> Photographs:
    """Read images and masks of ``views``, none larger than ``long_side`` pixels, and keep them on ``device``.

    Args:
        folder: where given, they are kept on disk instead, in a file in this folder.

    Raises:
        Fault: as raised by the readers of the scene, and by :class:`~backend.reconstruct.photo_cache.PhotoCache`.
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
    """Yield the photograph of each view and that of half its size, in host memory; one for both where it is small."""
    for number, (view, (image, smaller, mask)) in enumerate(zip(views, _decoded(views, long_side), strict=True)):
        progress("reconstruct", 0.0, f"photograph {number + 1} of {len(views)}")
        full = _photograph(view.camera, image, mask)
        yield full, full if smaller is None else _photograph(view.camera, smaller, mask)


def _on_disk(pairs: Iterable[tuple[Photograph, Photograph]], photo_cache: PhotoCache) -> Photographs:
    """Put photographs into ``photo_cache`` as they come, and return them as they lie there."""
    rows: list[tuple[int, int]] = []
    cameras: list[Camera] = []
    for full, half in pairs:
        for photo in (full,) if half is full else (full, half):
            arrays = [photo.image] if photo.on_object is None else [photo.image, photo.on_object]
            photo_cache.put([array.numpy() for array in arrays])
            cameras.append(photo.camera)
        rows.append((len(cameras) - (1 if half is full else 2), len(cameras) - 1))
    there = []
    for row, camera in enumerate(cameras):
        image, *on_object = (torch.from_numpy(array) for array in photo_cache.row(row))
        there.append(Photograph(camera, image, on_object[0] if on_object else None))
    return Photographs(
        tuple(there[row] for row, _ in rows), tuple(there[row] for _, row in rows), photo_cache, tuple(rows)
    )


def _decoded(views: Sequence[View], long_side: int) -> Iterator[Decoded]:
    """Yield images, half-size images and masks in the order of ``views``, a few of them decoded ahead."""
    pool = ThreadPoolExecutor(READERS, "photographs")
    waiting: deque[Future[Decoded]] = deque()
    try:
        for view in views:
            waiting.append(pool.submit(_decode, view, long_side))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _decode(view: View, long_side: int) -> Decoded:
    width, height = size = view.camera.size_within(long_side)
    image = read_image(view, size)
    if min(size) < 2 * SMALLEST_HALF:
        return image, None, object_pixels(view)
    smaller = Image.fromarray(image).resize((width // 2, height // 2), Image.Resampling.BOX)
    return image, np.asarray(smaller), object_pixels(view)


def _photograph(camera: Camera, image: NDArray[np.uint8], mask: NDArray[np.bool_] | None) -> Photograph:
    height, width = image.shape[:2]
    on_object = None
    if mask is not None:
        rows = (np.arange(height) + 0.5) * mask.shape[0] / height
        cols = (np.arange(width) + 0.5) * mask.shape[1] / width
        nearest = mask[np.ix_(rows.astype(int), cols.astype(int))]
        on_object = torch.from_numpy(np.ascontiguousarray(nearest))
    return Photograph(camera.resized(width, height), torch.from_numpy(np.array(image, np.uint8)), on_object)
