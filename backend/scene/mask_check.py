"""Checks a few masks before anything is computed: whether they can be read, and whether an id is suspicious."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.scene.mask_files import assumption
from backend.scene.mask_sets import has_mask_set, read_mask_set
from backend.scene.masks import stored_ids
from backend.scene.split import evenly_spread
from backend.scene.thin import is_thin, thin_ids
from backend.scene.types import View

LOOKED_AT = 5
"""Masks that are read; a problem usually affects all masks."""
MOST_BYTES = 1 << 28
"""Most bytes of the files of one mask that is read here: large stacks would take seconds."""
MOST = 0.5
"""Share of the views, and of a view's rim, that makes an id suspicious."""
IGNORED = 255
"""The id that VOC and derived data sets draw around objects for unlabelled pixels."""
WINDOW = 512
"""Largest height and width of the middle part of a map in which ids are searched that are thin lines."""
MANY_IDS = 16
"""Number of ids from which a view with mostly thin ones is suspicious."""


def check_masks(views: Sequence[View]) -> tuple[str, ...]:
    """Read a few masks, spread over the views, and return warnings about ids that may mean background or void.

    Raises:
        BadMask: if one of them cannot be read.
    """
    masked = [view for view in views if view.mask_path is not None and _bytes(view) <= MOST_BYTES]
    chosen = evenly_spread(masked, LOOKED_AT)
    maps = [ids for view in chosen if (ids := stored_ids(view)) is not None]
    for view in chosen:
        if has_mask_set(view):
            read_mask_set(view)  # its scores are only read here
    said = _of_rims(maps) or _of_outlines(maps) or _of_slivers(chosen, maps) or _of_nothing(maps)
    return (*_of_pixels(chosen), *_of_void(chosen, maps), *said)


def _bytes(view: View) -> int:
    return sum(file.stat().st_size for file in view.mask_parts or (view.mask_path,) if file is not None)


def _of_pixels(views: Sequence[View]) -> tuple[str, ...]:
    """Return what is assumed about the masks' pixels."""
    said = [(view.mask_path, assumption(view.mask_path)) for view in views if view.mask_path is not None]
    return next(((f"Masks are {assumed} (such as {file}).",) for file, assumed in said if assumed), ())


def _of_void(views: Sequence[View], maps: Sequence[NDArray[np.int32]]) -> tuple[str, ...]:
    """Return how negative ids were treated, unless the user specified them."""
    seen = [view.mask_path for view, ids in zip(views, maps, strict=True) if not view.mask_ids.void and (ids < 0).any()]
    if not seen:
        return ()
    return (f"Ids below 0 were treated as unknown, 0 as background (such as in {seen[0]}).",)


def _of_nothing(maps: Sequence[NDArray[np.int32]]) -> tuple[str, ...]:
    if not maps or any((ids > 0).any() for ids in maps):
        return ()
    return (f"None of the {len(maps)} inspected masks shows an object.",)


def _of_rims(maps: Sequence[NDArray[np.int32]]) -> tuple[str, ...]:
    """Warn if one id has most of the rim in most views, and the views have no background or no other id."""
    holders = Counter(holder for ids in maps if (holder := _rim_holder(ids)) is not None)
    if not holders:
        return ()
    suspect, count = holders.most_common(1)[0]
    if len(maps) < 2 or count <= MOST * len(maps):
        return ()
    return (
        f"The id {suspect} covers most of the image border in {count} of {len(maps)} inspected masks, but was "
        f"treated as an object. If it is background, use --background-id {suspect}.",
    )


def _rim_holder(ids: NDArray[np.int32]) -> int | None:
    rim = np.concatenate([ids[0], ids[-1], ids[1:-1, 0], ids[1:-1, -1]])
    present, counts = np.unique(rim, return_counts=True)
    most = int(counts.argmax())
    if counts[most] <= MOST * len(rim) or present[most] <= 0:
        return None
    # With one id, 0 may be the object: masks are inverted in some programs.
    is_covered = 0 not in ids or ((ids == 0) | (ids == present[most])).all()
    return int(present[most]) if is_covered else None


def _of_outlines(maps: Sequence[NDArray[np.int32]]) -> tuple[str, ...]:
    """Warn if id 255 forms thin lines in most views."""
    count = sum(is_thin(ids == IGNORED) for ids in maps)
    if len(maps) < 2 or count <= MOST * len(maps):
        return ()
    return (
        f"The id {IGNORED} forms thin lines in {count} of {len(maps)} inspected masks, but was treated as an object. "
        f"If it marks unknown pixels, use --void-id {IGNORED}.",
    )


def _of_slivers(views: Sequence[View], maps: Sequence[NDArray[np.int32]]) -> tuple[str, ...]:
    """Warn if most ids of a view are thin lines, as soft edges of colours or interpolated ids are."""
    for view, ids in zip(views, maps, strict=True):
        top, left = ((side - WINDOW) // 2 if side > WINDOW else 0 for side in ids.shape)
        count, thin = thin_ids(ids[top : top + WINDOW, left : left + WINDOW])
        if count >= MANY_IDS and thin > MOST * count:
            return (
                f"{thin} of the {count} ids in {view.mask_path} form thin lines only, as at soft edges or after "
                "scaling with interpolation. Save masks without anti-aliasing, and scale them with nearest neighbour.",
            )
    return ()
