"""Compares two folders of id maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from backend.evaluate.panoptic import Score, panoptic_quality
from protocol.errors import BadArgument, BadMask, BadResult


def evaluate_folder(result: Path, truth: Path) -> Score:
    """Score the id maps of a result folder, or of a plain folder of id maps, against exact ones.

    Args:
        result: a result folder with ``labels/*.png``, or a folder of id maps.
        truth: a folder of exact id maps, ``.png`` or ``.npy``, named as the predicted ones.

    Raises:
        BadResult: if there are no predicted maps. BadArgument: if no true map has the name of a predicted one.
        BadMask: if a map cannot be read.
    """
    labels = result / "labels" if (result / "labels").is_dir() else result
    predicted = _maps(labels)
    if not predicted:
        raise BadResult(f"No id maps (*.png or *.npy) were found in {labels}.", "Name a folder that segment wrote.")
    exact = _maps(truth)
    common = sorted(set(predicted) & set(exact))
    if not common:
        raise BadArgument(
            f"None of the {len(predicted)} id maps of {labels} has a namesake in {truth}.",
            "Name the folder whose files are called as the photographs are.",
        )
    return panoptic_quality([read_ids(predicted[n]) for n in common], [read_ids(exact[n]) for n in common])


def read_ids(path: Path) -> NDArray[np.int64]:
    """Return the (H, W) id map of a PNG or ``.npy`` file.

    Raises:
        BadMask: if the file is not a two-dimensional map of whole numbers.
    """
    try:
        ids = np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.asarray(Image.open(path))
    except (OSError, ValueError, EOFError, UnidentifiedImageError) as error:
        raise BadMask(f"The id map {path} cannot be read: {error}.", "Save it as a 16-bit PNG or .npy file.") from error
    if ids.ndim != 2 or ids.dtype.kind not in "iub":
        raise BadMask(f"The id map {path} has shape {ids.shape} of {ids.dtype}.", "Save one whole number per pixel.")
    return ids.astype(np.int64)


def _maps(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise BadArgument(f"The folder {folder} does not exist.")
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix in (".png", ".npy")}
