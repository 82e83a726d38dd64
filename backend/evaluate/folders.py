"""Compares two folders of id maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from backend.evaluate.panoptic import Score, panoptic_quality
from protocol.errors import BadArgument, BadMask, BadResult
from protocol.result.names import LABELS


def evaluate_folder(result: Path, truth: Path) -> Score:
    """Score the id maps of a result folder, or of a plain folder of id maps, against exact ones.

    Args:
        result: a result folder with ``labels/*.png``, or a folder of id maps.
        truth: a folder of exact id maps, ``.png`` or ``.npy``, named like the predicted ones; or a Messy-Rooms scene,
            which has them in ``instance``.

    Raises:
        BadResult: if there are no predicted maps. BadArgument: if no true map has the name of a predicted one.
        BadMask: if a map cannot be read.
    """
    predicted = find_predicted(result)
    exact = find_maps(truth / "instance" if (truth / "instance").is_dir() else truth)
    common = sorted(set(predicted) & set(exact))
    if not common:
        raise BadArgument(
            f"None of the {len(predicted)} id maps of {result} has the same file name as a map in {truth}.",
            "Give the folder whose files have the names of the photographs.",
        )
    return panoptic_quality([read_ids(predicted[n]) for n in common], [read_ids(exact[n]) for n in common])


def read_ids(path: Path) -> NDArray[np.int64]:
    """Return the (H, W) id map of a PNG or ``.npy`` file.

    Raises:
        BadMask: if the file is not a two-dimensional map of integers.
    """
    try:
        ids = _read_npy(path) if path.suffix == ".npy" else _read_png(path)
    except (OSError, SyntaxError, ValueError, EOFError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise BadMask(f"The id map {path} cannot be read: {error}.", "Save it as a 16-bit PNG or .npy file.") from error
    if ids.ndim != 2 or not ids.size or ids.dtype.kind not in "iub":
        raise BadMask(f"The id map {path} has shape {ids.shape} of {ids.dtype}.", "Save one whole number per pixel.")
    return ids.astype(np.int64)


def find_predicted(result: Path) -> dict[str, Path]:
    """Return the id maps of a result folder, or of a plain folder of id maps, by their stems.

    Raises:
        BadArgument: if the folder does not exist. BadResult: if there are none.
    """
    labels = result / LABELS if (result / LABELS).is_dir() else result
    found = find_maps(labels)
    if not found:
        raise BadResult(
            f"No id maps (*.png or *.npy) were found in {labels}.", "Give a result folder written by backend segment."
        )
    return found


def find_maps(folder: Path) -> dict[str, Path]:
    """Return the PNG and ``.npy`` files of ``folder`` by their stems.

    Raises:
        BadArgument: if the folder does not exist.
    """
    if not folder.is_dir():
        raise BadArgument(f"The folder {folder} does not exist.")
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix in (".png", ".npy")}


def _read_npy(path: Path) -> NDArray:
    # Memory-mapped, so that a header that claims more data than the file has is refused before anything is allocated.
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _read_png(path: Path) -> NDArray:
    with Image.open(path) as image:
        return np.asarray(image)
