"""Which mask belongs to which photograph, and does it fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from backend.scene.capture import Shot
from backend.scene.lens import undistort_mask
from backend.scene.mask_files import ENDINGS, load_ids, mask_size
from backend.scene.types import View
from protocol.errors import BadArgument, BadMask


def find_masks(folder: Path, shots: Sequence[Shot], names: Sequence[str]) -> list[Path | None]:
    """Return the mask of each photograph in ``folder``, None where it has none.

    A mask has the photograph's path, the view's name, or the photograph's stem where no other photograph shares it,
    with one of the endings of :mod:`backend.scene.mask_files`.
    """
    paths = [PurePosixPath(shot.path) for shot in shots]
    stems = Counter(path.stem for path in paths)
    result: list[Path | None] = []
    for path, name in zip(paths, names, strict=True):
        keys = [path.with_suffix("").as_posix(), name, *([path.stem] if stems[path.stem] == 1 else [])]
        candidates = (folder / f"{key}{ending}" for key in dict.fromkeys(keys) for ending in ENDINGS)
        result.append(next((file for file in candidates if file.is_file()), None))
    return result


def find_given_masks(folder: Path, shots: Sequence[Shot], names: Sequence[str]) -> list[Path | None]:
    """As :func:`find_masks`, for a folder that the user named.

    Raises:
        BadArgument: if the folder does not exist.
        BadMask: if it holds no mask of any photograph.
    """
    if not folder.is_dir():
        raise BadArgument(f"The mask folder {folder} does not exist.")
    masks = find_masks(folder, shots, names)
    if not any(masks):
        stem = PurePosixPath(shots[0].path).stem
        raise BadMask(
            f"The mask folder {folder} holds no mask of any photograph: looked for "
            f"{' or '.join(stem + ending for ending in ENDINGS)} and the like.",
            "Name each mask after its photograph.",
        )
    return masks


def check_fit(file: Path, mask: tuple[int, int], photograph: tuple[int, int]) -> None:
    """Refuse a mask that is not the photograph's size times or divided by one whole number.

    Args:
        file: the mask, for the error sentence.
        mask, photograph: width and height.

    Raises:
        BadMask: naming both sizes.
    """
    (w, h), (W, H) = mask, photograph
    divides = W % w == 0 and H % h == 0 and W // w == H // h
    multiplies = w % W == 0 and h % H == 0 and w // W == h // H
    if not (divides or multiplies):
        raise BadMask(
            f"The mask {file} is {w} x {h} pixels, its photograph {W} x {H}.",
            "Give masks of the photograph's size, or that size times or divided by one whole number.",
        )


def check_masks(views: Sequence[View]) -> None:
    """Refuse masks that do not fit, from their headers alone.

    Raises:
        BadMask: naming the first that cannot be read or has a wrong size.
    """
    for view in views:
        if view.mask_path is not None:
            check_fit(view.mask_path, mask_size(view.mask_path), (view.camera.width, view.camera.height))


def read_mask(view: View) -> NDArray[np.int32] | None:
    """Return the instance ids of ``view`` as its pinhole camera sees them: (H', W') int32, 0 is background.

    H' and W' are the photograph's height and width times or divided by one whole number. Ids mean something in this
    view only; :data:`~backend.scene.types.VOID` says nothing of its pixel. None where the view has no mask.

    Raises:
        BadMask: if the file cannot be read or does not fit the photograph.
    """
    if view.mask_path is None:
        return None
    ids = load_ids(view.mask_path)
    check_fit(view.mask_path, (ids.shape[1], ids.shape[0]), (view.camera.width, view.camera.height))
    return ids if view.lens is None else undistort_mask(view.lens, ids)
