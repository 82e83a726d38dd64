"""Checks that each mask fits its photograph, and whether it was made from the stored or the EXIF-rotated photograph.

COLMAP ignores EXIF orientation, so poses belong to the stored pixels. OpenCV and most segmentation programs respect it.
If the orientation swaps the sides of a photograph, the size of its mask shows which one was used; masks of the other
photographs are assumed to be made in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from backend.scene.images import orientation
from backend.scene.mask_files import fits, mask_size
from backend.scene.mask_limits import Size
from backend.scene.types import VOID, View
from protocol.errors import BadMask

Scalar = TypeVar("Scalar", bound=np.generic)
"""The type of a pixel: of ids or of a boolean mask."""


def check_fit(file: Path, mask: Size, photograph: Size, turned: int = 1) -> None:
    """Refuse a mask that is not the photograph scaled by one factor.

    Args:
        file: the mask, for the error message.
        mask, photograph: width and height.
        turned: the photograph's EXIF orientation.

    Raises:
        BadMask: with both sizes.
    """
    if not fits(mask, photograph):
        (w, h), (W, H) = mask, photograph
        exif = f" with the EXIF orientation {turned}" if turned != 1 else ""
        raise BadMask(
            f"The mask {file} is {w} x {h} pixels, but its photograph has {W} x {H}{exif}.",
            "Use masks of the photograph's size, or scale all of them by one factor.",
        )


def fit_masks(views: Sequence[View]) -> tuple[list[View], tuple[str, ...]]:
    """Return the views with ``mask_turn`` set, and a warning if that was assumed or is unknown.

    Only headers are read.

    Raises:
        BadMask: with the first mask that cannot be read or has a wrong size.
    """
    masked = [view for view in views if view.mask_path is not None]
    turns = {view.name: orientation(view.image_path) for view in masked}
    told = {view.name: _is_turned(view, turns[view.name]) for view in masked}
    turned = [name for name, answer in told.items() if answer]
    stored = [name for name, answer in told.items() if answer is False and turns[name] != 1]
    unknown = [name for name, answer in told.items() if answer is None]
    if turned and not stored:
        turned += unknown
    fitted = [replace(view, mask_turn=turns[view.name]) if view.name in set(turned) else view for view in views]
    return fitted, _said(turned, unknown if not stored else [], turns)


def _is_turned(view: View, turn: int) -> bool | None:
    """Whether a view's mask was made from the rotated photograph; None if its size does not show it."""
    assert view.mask_path is not None
    photograph = width, height = view.camera.width, view.camera.height
    shown = height, width
    size = mask_size(view.mask_path, photograph, view.mask_entry)
    if turn > 4 and (size is None or not fits(size, photograph)):
        size_shown = mask_size(view.mask_path, shown, view.mask_entry)
        if size_shown is not None and fits(size_shown, shown):
            return True
    if size is not None:
        check_fit(view.mask_path, size, photograph, turn)
    if turn == 1:
        return False
    return None if turn <= 4 or size is None or fits(photograph, shown) else False


def _said(turned: Sequence[str], unknown: Sequence[str], turns: dict[str, int]) -> tuple[str, ...]:
    if turned:
        return (
            f"{len(turned)} masks were made with the EXIF orientation applied; they were rotated back (first: "
            f"{turned[0]}, orientation {turns[turned[0]]}).",
        )
    if unknown:
        return (
            f"{len(unknown)} photographs with masks have an EXIF orientation (first: {unknown[0]}, orientation "
            f"{turns[unknown[0]]}), which poses ignore. Their masks were assumed to match the stored pixels. Create "
            "them again if they match the rotated photographs.",
        )
    return ()


def stored_size(view: View) -> Size:
    """Return the width and height of the photograph that the mask of a view was made from, stored or rotated."""
    width, height = view.camera.width, view.camera.height
    return (height, width) if view.mask_turn > 4 else (width, height)


def fitted(ids: NDArray[np.int32], view: View, file: Path) -> NDArray[np.int32]:
    """Return the ids of the mask of a view, (H, W), as they belong to its stored photograph.

    They are rotated back, and the view's further ids of background and unknown pixels become 0 and
    :data:`~backend.scene.types.VOID`.

    Args:
        ids: (H, W) or (W, H) int32, as in the file.
        view: with ``mask_turn`` from :func:`fit_masks`.
        file: for the error message.

    Raises:
        BadMask: if the mask does not fit the photograph.
    """
    ids = turned_back(ids, view.mask_turn)
    check_fit(file, (ids.shape[1], ids.shape[0]), (view.camera.width, view.camera.height))
    for listed, meaning in ((view.mask_ids.background, 0), (view.mask_ids.void, VOID)):
        if listed:
            ids = np.where(np.isin(ids, listed), meaning, ids)
    return ids


def turned_back(ids: NDArray[Scalar], turn: int) -> NDArray[Scalar]:
    """Return an id map or a mask in the orientation of the stored photograph.

    Args:
        ids: (H, W), of the photograph rotated by its EXIF orientation.
        turn: that orientation, 1 to 8.
    """
    if turn in (2, 3, 4):
        return np.ascontiguousarray(ids[:: -1 if turn != 2 else 1, :: -1 if turn != 4 else 1])
    if turn in (5, 7):
        return np.ascontiguousarray(ids.T if turn == 5 else ids[::-1, ::-1].T)
    if turn in (6, 8):
        return np.ascontiguousarray(np.rot90(ids, 1 if turn == 6 else -1))
    return ids
