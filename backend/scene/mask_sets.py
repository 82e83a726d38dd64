"""Overlapping masks of one photograph, as segment-everything models produce them.

Such a file is a stack or a list of run lengths, see :mod:`backend.scene.mask_files`. Each mask may have a score:
``scores`` or ``score`` next to the stack in a ``.npz``; in run lengths ``score``, or ``predicted_iou`` times
``stability_score`` as written by SAM's ``amg.py``; next to a folder of images, see :mod:`backend.scene.mask_scores`.

The masks are stored in layers. Within a layer they do not overlap, except for slivers along their outlines, so each
layer is an ordinary id map. Masks without overlaps have one layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.scene.lens import undistort_mask
from backend.scene.mask_files import load_ids, load_stack, may_overlap
from backend.scene.mask_fit import fitted, stored_size
from backend.scene.mask_limits import Size, check_layers
from backend.scene.mask_scores import read_scores
from backend.scene.types import VOID, View
from protocol.annotations import Id
from protocol.errors import BadMask

SLIVER = 0.1
"""Masks may overlap within a layer by this share of the smaller one, which then is on top."""
SAME = 0.95
"""Intersection over union from which two masks are duplicates: the one with the higher score is kept."""
MOST_LAYERS = 16
"""Most layers of one photograph; objects, their parts and the parts of those take about four."""

LARGEST_OBJECT = 0.1
"""Masks of a larger share of the image mostly show floor and walls."""


@dataclass(frozen=True)
class MaskSet:
    """The masks of one view; mask numbers are only valid in this view.

    Attributes:
        layers: (L, H, W) int32, id maps; mask i of the file has the id i + 1 and is in one layer. 0 is background,
            :data:`~backend.scene.types.VOID` unlabelled. At least one layer; layers of the largest masks first.
        scores: (N,) float32, the model's confidence for mask 1 to N, on the model's own scale, higher is better; None
            if the file has no scores.
    """

    layers: NDArray[np.int32]
    scores: NDArray[np.float32] | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the masks are equivalent to one id map without scores."""
        return len(self.layers) == 1 and self.scores is None


def read_mask_set(view: View) -> MaskSet | None:
    """Return the masks of ``view`` as seen by its pinhole camera; None if the view has no mask.

    The size is that of :func:`backend.scene.read_mask`. A view with one id map has this as its only layer.

    Raises:
        BadMask: if a file cannot be read or does not fit the photograph.
    """
    if view.mask_path is None:
        return None
    found = _stored(view.mask_path, view.mask_parts, stored_size(view), view.mask_entry)
    layers = []
    for layer in found.layers:
        ids = fitted(layer, view, view.mask_path)
        layers.append(ids if view.lens is None else undistort_mask(view.lens, ids))
    return replace(found, layers=np.stack(layers).astype(np.int32))


def object_pixels(view: View) -> NDArray[np.bool_] | None:
    """Return (H, W) bool, where ``view`` may show objects, judged without other views.

    For an id map these are all pixels with an id. Masks that overlap or have scores may also show floor and walls; of
    these, only masks of at most :data:`LARGEST_OBJECT` of the image count. None if the view has no mask.

    Raises: as :func:`read_mask_set`.
    """
    found = read_mask_set(view)
    if found is None:
        return None
    if found.is_plain:
        return found.layers[0] > 0
    shown = np.zeros(found.layers.shape[1:], bool)
    for layer in found.layers:
        area = np.bincount(np.maximum(layer, 0).ravel())
        small = area <= LARGEST_OBJECT * layer.size
        small[0] = False
        shown |= small[np.maximum(layer, 0)]
    return shown


def has_mask_set(view: View) -> bool:
    """Whether the mask file of ``view`` may contain overlaps or scores; only headers are read.

    Raises:
        BadMask: if the file cannot be read.
    """
    if view.mask_path is None:
        return False
    return len(view.mask_parts) > 1 or may_overlap(view.mask_path)


def _stored(file: Path, parts: Sequence[Path], photograph: Size, entry: Id | None) -> MaskSet:
    if parts:
        slices = [load_ids(part, photograph) > 0 for part in parts]
        if len({part.shape for part in slices}) > 1:
            raise BadMask(f"The masks of one photograph, {file} and others, have different sizes.")
        return layered(slices, read_scores(parts), file, photograph)
    if not may_overlap(file):
        return MaskSet(load_ids(file, photograph)[None])
    stack = load_stack(file, photograph, entry)
    if not len(stack.slices):
        return MaskSet(np.zeros((1, *stack.shape), np.int32), stack.scores)
    return layered(stack.slices, stack.scores, file, photograph)


def layered(
    slices: Sequence[NDArray] | NDArray,
    scores: NDArray[np.float32] | None,
    file: Path | str = "of the view",
    photograph: Size | None = None,
) -> MaskSet:
    """Return masks as layers: the largest first, each in the first layer in which it overlaps no other mask.

    Args:
        slices: N masks (H, W), at least one; non-zero pixels are inside.
        scores: (N,) float32 or None.
        file: for error messages.
        photograph: width and height, which limit the memory for masks of another size.

    Raises:
        BadMask: if more than :data:`MOST_LAYERS` masks overlap, or the layers have too many pixels.
    """
    shape = slices[0].shape
    area = np.array([np.count_nonzero(part) for part in slices])
    layers: list[NDArray[np.int32]] = []
    kept = np.zeros(len(slices), np.float32) if scores is None else scores.astype(np.float32).copy()
    for i in np.argsort(-area, kind="stable"):
        if area[i] == 0:
            continue
        inside = np.flatnonzero(slices[i])
        place = len(layers)
        for number, layer in enumerate(layers):
            count = np.bincount(layer.ravel()[inside], minlength=len(area) + 1)[1:]
            same = np.flatnonzero((count > 0) & (count >= SAME * (area + area[i] - count)))
            if len(same):
                kept[same[0]] = max(kept[same[0]], kept[i])
                place = -1
                break
            if count.sum() <= SLIVER * area[i]:
                place = min(place, number)
        if place < 0:
            continue
        if place == len(layers):
            if place == MOST_LAYERS:
                raise BadMask(
                    f"The mask {file} holds more than {MOST_LAYERS} masks that overlap.",
                    "Write fewer levels of parts.",
                )
            check_layers(file, (shape[1], shape[0]), len(layers) + 1, MOST_LAYERS, photograph)
            layers.append(np.zeros(shape, np.int32))
        layers[place].ravel()[inside] = i + 1
    if not layers:
        layers.append(np.zeros(shape, np.int32))
    return MaskSet(np.stack(layers), None if scores is None else kept)


def flattened(layers: NDArray[np.int32], numbers: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return one (H, W) int32 id map of masks in layers (L, H, W), with smaller masks on top of larger ones.

    Args:
        layers: as in :class:`MaskSet`; pixels that are void in any layer are void in the result unless a mask is
            painted there.
        numbers: (N + 1,) int32, the id that mask 1 to N gets, possibly void; 0 if it is not used. Entry 0 is ignored.
    """
    out = np.where((layers < 0).any(0), VOID, 0).astype(np.int32)
    area = np.zeros(len(numbers), np.int64)
    for layer in layers:
        area += np.bincount(np.maximum(layer, 0).ravel(), minlength=len(numbers))
    size = np.full(out.shape, np.iinfo(np.int64).max)
    for layer in layers:
        named = np.maximum(layer, 0)
        over = (layer > 0) & (numbers[named] != 0) & (area[named] < size)
        out[over] = numbers[named[over]]
        size[over] = area[named[over]]
    return out
