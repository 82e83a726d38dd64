"""Compares folders of binary masks, one per view and prompt, with ground truth.

The layouts of :mod:`~backend.evaluate.lerf_mask` and :mod:`~backend.evaluate.ovs` are folders of views with files named
after their content, ``<view>/<prompt>.png``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from backend.evaluate.panoptic import boundary
from protocol.errors import BadArgument, BadMask

WHITE = 128
"""A pixel brighter than this, of 255, belongs to the mask, as in Gaussian Grouping's script."""

Missing = Literal["zero", "skip"]
"""How a missing prediction counts: as 0, or not at all."""


@dataclass(frozen=True)
class Compared:
    """One true mask and its prediction, scores from 0 to 1; NaN if both are empty."""

    view: str
    prompt: str
    iou: float
    boundary_iou: float
    missing: bool = False


def mask_files(folder: Path) -> dict[tuple[str, str], Path]:
    """Return the file of each (view, prompt) in ``folder``, in order of names.

    Raises:
        BadArgument: if the folder does not exist.
    """
    if not folder.is_dir():
        raise BadArgument(f"The folder {folder} does not exist.")
    return {(file.parent.name, file.stem): file for file in sorted(folder.glob("*/*.png"))}


def compare(
    predicted: Mapping[tuple[str, str], Path], truth: Mapping[tuple[str, str], Path], at_size_of: str
) -> Iterator[Compared]:
    """Compare each true mask with the prediction of the same view and prompt, one pair in memory at a time.

    Args:
        predicted, truth: the file of each (view, prompt).
        at_size_of: "truth" or "prediction": the other mask is resized to that size with Pillow's NEAREST.

    Raises:
        BadMask: if a file is not an image.
    """
    for (view, prompt), file in truth.items():
        if (view, prompt) not in predicted:
            yield Compared(view, prompt, 0.0, 0.0, missing=True)
            continue
        true, found = _open(file), _open(predicted[view, prompt])
        size = true.size if at_size_of == "truth" else found.size
        t, p = _pixels(true, size), _pixels(found, size)
        yield Compared(view, prompt, iou(p, t), iou(outline(p), outline(t)))


def accuracy(
    predicted: Mapping[tuple[str, str], Path], truth: Mapping[tuple[str, str], Path], missing: Missing
) -> dict[str, float]:
    """Return the share of the pixels of each view at which all predictions agree with the truth.

    Masks of a view are compared at the size of its first prediction, or of its truth if there is none.

    Args:
        predicted, truth: the file of each (view, prompt).
        missing: "zero": a missing prediction counts as an empty mask; "skip": its prompt and views without
            predictions are not scored.

    Raises:
        BadMask: if a file is not an image.
    """
    agreeing: dict[str, NDArray[np.bool_]] = {}
    for pair in sorted(truth, key=lambda pair: pair not in predicted):
        if pair not in predicted and missing == "skip":
            continue
        true = _open(truth[pair])
        found = _open(predicted[pair]) if pair in predicted else Image.new("L", true.size)
        right = agreeing.get(pair[0])
        size = found.size if right is None else (right.shape[1], right.shape[0])
        same = _pixels(found, size) == _pixels(true, size)
        agreeing[pair[0]] = same if right is None else right & same
    return {view: float(right.mean()) for view, right in agreeing.items()}


def counted(compared: Iterable[Compared], missing: Missing) -> list[Compared]:
    """Return the pairs that count for the means: no empty pairs, and missing predictions only if they count as 0."""
    return [one for one in compared if not np.isnan(one.iou) and not (one.missing and missing == "skip")]


def per_prompt(compared: Iterable[Compared], field: str) -> dict[str, float]:
    """Return the mean of ``field`` over the views of each prompt."""
    sums: Counter[str] = Counter()
    views: Counter[str] = Counter()
    for one in compared:
        sums[one.prompt] += getattr(one, field)
        views[one.prompt] += 1
    return {prompt: sums[prompt] / views[prompt] for prompt in views}


def iou(p: NDArray[np.bool_], t: NDArray[np.bool_]) -> float:
    """Return the intersection over union of two (H, W) masks; NaN if both are empty."""
    union = np.count_nonzero(p | t)
    return np.count_nonzero(p & t) / union if union else float("nan")


def outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of a mask within 2 % of the image diagonal of its edge (Cheng et al. 2021, Boundary IoU).

    Outside the image no pixel belongs to a mask, so a mask cut off by the image has an edge there.
    """
    return mask & boundary(mask.astype(np.uint8).astype(np.int64))


def _open(file: Path) -> Image.Image:
    try:
        with Image.open(file) as image:
            return image.convert("L")
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise BadMask(f"The mask {file} cannot be read: {error}.", "Save it as a black and white PNG.") from error


def _pixels(image: Image.Image, size: tuple[int, int]) -> NDArray[np.bool_]:
    fitted = image if image.size == size else image.resize(size, Image.Resampling.NEAREST)
    return np.asarray(fitted) > WHITE
