"""Masks found by a model, and their file format: run lengths and scores, as in SAM's own tools."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from backend.scene.mask_fit import turned_back
from backend.scene.rle import pack_counts, runs_of


@dataclass(frozen=True)
class ScoredMask:
    """A mask found by a model.

    Attributes:
        mask: (H, W) bool, not empty.
        predicted_iou: 0 to 1, the predicted overlap with the true mask, for models of mask generation.
        stability_score: 0 to 1, the overlap of the mask at a higher and a lower threshold.
        score: 0 to 1, the probability of the class times the mean probability of the mask's pixels.
        category: the name of its class.
        isthing: whether that class is countable, if the vocabulary is known.
    """

    mask: NDArray[np.bool_]
    predicted_iou: float | None = None
    stability_score: float | None = None
    score: float | None = None
    category: str | None = None
    isthing: bool | None = None


class Runs(msgspec.Struct, frozen=True):
    """COCO's run lengths: ``size`` is height and width, ``counts`` the packed lengths down the columns."""

    size: tuple[int, int]
    counts: str


class MaskRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """The file format of a :class:`ScoredMask`; ``area`` is its number of pixels."""

    segmentation: Runs
    area: int
    predicted_iou: float | None = None
    stability_score: float | None = None
    score: float | None = None
    category: str | None = None
    isthing: bool | None = None


def as_record(found: ScoredMask, turn: int) -> MaskRecord:
    """Convert a mask to its file format.

    Args:
        found: of the photograph rotated by its EXIF orientation.
        turn: that orientation, 1 to 8; the record is in the orientation of the stored pixels.
    """
    mask = turned_back(found.mask, turn)
    return MaskRecord(
        as_runs(mask),
        int(np.count_nonzero(mask)),
        _rounded(found.predicted_iou),
        _rounded(found.stability_score),
        _rounded(found.score),
        found.category,
        found.isthing,
    )


def as_runs(mask: NDArray[np.bool_]) -> Runs:
    """Return the run lengths of an (H, W) mask."""
    return Runs((mask.shape[0], mask.shape[1]), pack_counts(runs_of(mask)))


def _rounded(score: float | None) -> float | None:
    """Return a score with four decimals, which is more than the accuracy of any model."""
    return None if score is None else round(float(score), 4)
